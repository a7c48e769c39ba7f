from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.errors import ParamsError
from components.train.augment import Augmentation

NONE = Augmentation(0, 0.0, 0.0, 0.0)


def _images(seed: int = 0, batch: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (batch, 2, 12, 10, 3), dtype=np.uint8)


def _apply(augmentation: Augmentation, images: np.ndarray, seed: int = 1) -> np.ndarray:
    return augmentation.images(images, np.random.default_rng(seed))


def test_nothing_asked_for_changes_nothing():
    images = _images()
    assert np.array_equal(_apply(NONE, images), images)


def test_the_input_is_left_alone():
    images = _images()
    before = images.copy()
    _apply(Augmentation(2, 0.3, 0.2, 0.1), images)
    assert np.array_equal(images, before)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), shift=st.integers(0, 4))
def test_a_shift_moves_the_picture_and_repeats_its_edge(seed, shift):
    images = _images(batch=1)
    shifted = _apply(Augmentation(shift, 0.0, 0.0, 0.0), images, seed)
    for camera in range(2):
        padded = np.pad(images[0, camera], ((shift, shift), (shift, shift), (0, 0)), mode="edge")
        crops = [
            padded[top : top + 12, left : left + 10] for top in range(2 * shift + 1) for left in range(2 * shift + 1)
        ]
        assert any(np.array_equal(shifted[0, camera], crop) for crop in crops)


def test_shifts_reach_both_ways_and_differ_between_images():
    images = np.zeros((200, 1, 9, 9, 3), np.uint8)
    images[:, :, 4, 4] = 255
    shifted = _apply(Augmentation(2, 0.0, 0.0, 0.0), images)
    places = {tuple(np.argwhere(image[0, :, :, 0])[0] - 4) for image in shifted}
    assert places == {(down, right) for down in range(-2, 3) for right in range(-2, 3)}


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), brightness=st.floats(0, 0.5), colour=st.floats(0, 1.0), level=st.integers(0, 255))
def test_light_stays_within_what_was_asked_and_within_a_byte(seed, brightness, colour, level):
    images = np.full((4, 2, 6, 5, 3), level, np.uint8)
    lit = _apply(Augmentation(0, brightness, colour, 0.0), images, seed).astype(float)
    low = max(0.0, level * (1 - brightness) - 127.5 * colour)
    high = min(255.0, level * (1 + brightness) + 127.5 * colour)
    # Fixed point: half a step of the factor, and rounding down at the end.
    slack = 255 / 128 + 1.0
    assert lit.min() >= low - slack
    assert lit.max() <= high + slack
    assert (np.ptp(lit, axis=(2, 3)) == 0).all(), "one image, one light"


def test_colour_tints_channels_apart():
    images = np.full((50, 1, 2, 2, 3), 128, np.uint8)
    lit = _apply(Augmentation(0, 0.0, 0.05, 0.0), images).astype(int)
    assert (np.ptp(lit, axis=4) > 0).mean() > 0.9


def test_the_generator_decides_everything():
    images, some = _images(), Augmentation(2, 0.1, 0.05, 0.02)
    assert np.array_equal(_apply(some, images, seed=4), _apply(some, images, seed=4))
    assert not np.array_equal(_apply(some, images, seed=4), _apply(some, images, seed=5))


def test_state_noise_has_the_size_asked_for():
    state = np.zeros((4000, 4), np.float32)
    noisy = Augmentation(0, 0.0, 0.0, 0.02).state(state, np.random.default_rng(0))
    assert noisy.dtype == np.float32
    assert noisy.std() == pytest.approx(0.02, rel=0.05)


def test_what_16_bits_cannot_hold_is_refused():
    with pytest.raises(
        ParamsError, match=r"brightness 0.9 with train.colour 0.5 and train.contrast 0.0 is beyond 16-bit"
    ):
        Augmentation(0, 0.9, 0.5, 0.0)


def test_a_crop_shows_a_part_at_full_size():
    ramp = np.broadcast_to(np.linspace(0, 255, 40).astype(np.uint8)[None, :, None], (40, 40, 3))
    images = np.broadcast_to(ramp, (60, 1, 40, 40, 3)).copy()
    cropped = _apply(Augmentation(0, 0.0, 0.0, 0.0, crop=0.25), images).astype(int)
    spans = cropped[:, 0, 20, -1, 0] - cropped[:, 0, 20, 0, 0]
    assert spans.min() >= 255 * 0.75 - 8
    assert spans.max() <= 255
    assert np.ptp(spans) > 30, "sizes differ"
    assert np.ptp(cropped[:, 0, 20, 0, 0]) > 20, "places differ"


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32), contrast=st.floats(0.05, 0.4))
def test_contrast_stretches_around_the_mean(seed, contrast):
    images = np.random.default_rng(seed).integers(90, 150, (4, 1, 12, 10, 3), dtype=np.uint8)
    changed = _apply(Augmentation(0, 0.0, 0.0, 0.0, contrast=contrast), images, seed).astype(float)
    before = images.astype(float)
    assert np.abs(changed.mean(axis=(2, 3, 4)) - before.mean(axis=(2, 3, 4))).max() < 3
    ratio = changed.std(axis=(2, 3, 4)) / before.std(axis=(2, 3, 4))
    assert ((ratio > 1 - contrast - 0.05) & (ratio < 1 + contrast + 0.05)).all()


def test_saturation_moves_colours_and_leaves_grey_grey():
    grey = np.full((30, 1, 4, 4, 3), 128, np.uint8)
    red = grey.copy()
    red[..., 0] = 180
    some = Augmentation(0, 0.0, 0.0, 0.0, saturation=0.5)
    assert np.abs(_apply(some, grey).astype(int) - 128).max() <= 1
    spread = np.ptp(_apply(some, red).astype(int), axis=4)[:, 0, 0, 0]
    assert spread.min() < 45
    assert spread.max() > 60


def test_what_is_not_asked_for_draws_nothing():
    images = _images()
    plain, with_none = Augmentation(2, 0.1, 0.05, 0.0), Augmentation(2, 0.1, 0.05, 0.0, 0.0, 0.0, 0.0)
    assert np.array_equal(_apply(plain, images), _apply(with_none, images))
    assert not np.array_equal(_apply(plain, images), _apply(Augmentation(2, 0.1, 0.05, 0.0, contrast=0.2), images))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32), level=st.sampled_from([0, 1, 127, 254, 255]))
def test_the_strongest_jitter_that_is_taken_stays_within_bytes(seed, level):
    """Overflow of the 16 bits would turn white into black."""
    images = np.full((6, 1, 4, 4, 3), level, np.uint8)
    lit = _apply(Augmentation(1, 0.3, 0.2, 0.0, contrast=0.3, saturation=0.9), images, seed).astype(float)
    assert np.abs(lit - level).max() <= 255 * 0.3 + 127.5 * 0.2 + 4
