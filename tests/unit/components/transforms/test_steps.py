import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from components.core.errors import ContractError
from components.transforms.steps import (
    Bounds,
    CameraOrder,
    Clamp,
    Normalise,
    ResizeImages,
    WordTokens,
    length_for,
    require_finite,
    split_words,
    vocabulary_of,
)

moderate = st.floats(-1e3, 1e3, allow_nan=False)
rows = hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6), elements=moderate)


def test_resize_leaves_the_right_size_untouched():
    images = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    assert ResizeImages(96).apply(images) is images


def test_resize_by_half_averages_neighbours_and_keeps_a_ramp():
    ramp = np.repeat(np.arange(0, 192, dtype=np.uint8)[None, :], 192, axis=0)
    images = np.stack([np.stack([ramp] * 3, axis=-1)])
    small = ResizeImages(96).apply(images)
    assert small.shape == (1, 96, 96, 3)
    inner = small[0, 10, 1:-1, 0].astype(int)
    # Source pixels 2t and 2t+1 meet in target pixel t: their mean is 2t + 0.5.
    assert np.abs(inner - (2 * np.arange(1, 95) + 0.5)).max() <= 0.5


@given(value=st.integers(0, 255), height=st.integers(5, 40), width=st.integers(5, 40), px=st.integers(4, 48))
def test_resize_keeps_a_plain_colour(value: int, height: int, width: int, px: int):
    images = np.full((1, height, width, 3), value, dtype=np.uint8)
    np.testing.assert_array_equal(ResizeImages(px).apply(images), np.full((1, px, px, 3), value))


@given(
    images=hnp.arrays(np.uint8, st.tuples(st.just(2), st.integers(1, 40), st.integers(1, 40), st.just(3))),
    px=st.integers(1, 48),
)
def test_resize_is_the_triangle_filter_of_the_definition(images: np.ndarray, px: int):
    def weights(size: int) -> np.ndarray:
        scale = size / px
        centres = (np.arange(px) + 0.5) * scale - 0.5
        share = np.clip(1 - np.abs(np.arange(size) - centres[:, None]) / max(scale, 1.0), 0, None)
        return share / share.sum(axis=1, keepdims=True)

    exact = np.einsum("yh,xw,bhwc->byxc", weights(images.shape[1]), weights(images.shape[2]), images.astype(float))
    assert np.abs(ResizeImages(px).apply(images) - exact).max() <= 0.5 + 1e-3


def test_camera_order_and_back():
    images = {name: np.full((2, 4, 4, 3), index, np.uint8) for index, name in enumerate(("wrist", "fixed"))}
    order = CameraOrder(("fixed", "wrist"))
    stacked = order.apply(images)
    assert stacked[:, 0].max() == 1
    assert stacked[:, 1].max() == 0
    back = order.inverse(stacked)
    assert list(back) == ["fixed", "wrist"]
    for name, image in images.items():
        np.testing.assert_array_equal(back[name], image)


@given(values=rows, data=st.data())
def test_normalise_and_back(values: np.ndarray, data: st.DataObject):
    dims = values.shape[1]
    mean = data.draw(st.lists(moderate, min_size=dims, max_size=dims))
    std = data.draw(st.lists(st.floats(0, 100), min_size=dims, max_size=dims))
    step = Normalise(tuple(mean), tuple(std), epsilon=1e-2)
    # float32 carries 24 bits of (x - mean) / scale, so the error scales with |x| + |mean|.
    np.testing.assert_allclose(step.inverse(step.apply(values)), values, rtol=1e-5, atol=1e-3)


def test_normalise_floors_the_spread_of_a_dimension_that_never_moved():
    step = Normalise((1.0,), (0.0,), epsilon=0.1)
    np.testing.assert_allclose(step.apply(np.array([[1.2]])), [[2.0]], rtol=1e-6)


@pytest.mark.parametrize(
    ("mean", "std", "epsilon", "match"),
    [
        ((0.0,), (1.0, 2.0), 0.1, "1 dimensions and std has 2"),
        ((float("nan"),), (1.0,), 0.1, "finite"),
        ((0.0,), (-1.0,), 0.1, "not negative"),
        ((0.0,), (1.0,), 0.0, "above 0"),
    ],
)
def test_normalise_refuses_bad_statistics(mean: tuple, std: tuple, epsilon: float, match: str):
    with pytest.raises(ContractError, match=match):
        Normalise(mean, std, epsilon)


@given(data=st.data(), dims=st.integers(1, 5))
def test_bounds_and_back(data: st.DataObject, dims: int):
    low = data.draw(st.lists(st.floats(-10, 10), min_size=dims, max_size=dims))
    width = data.draw(st.lists(st.floats(0.1, 10), min_size=dims, max_size=dims))
    share = data.draw(st.lists(st.floats(0, 1), min_size=dims, max_size=dims))
    high = tuple(a + b for a, b in zip(low, width, strict=True))
    values = np.array([[a + s * w for a, s, w in zip(low, share, width, strict=True)]])
    step = Bounds(tuple(low), high)
    normalised = step.apply(values)
    assert np.abs(normalised).max() <= 1.0 + 1e-6
    np.testing.assert_allclose(step.inverse(normalised), values, atol=1e-5)


@pytest.mark.parametrize(
    ("low", "high", "match"),
    [
        ((0.0,), (0.0,), "low must be below high"),
        ((0.0,), (float("inf"),), "dimension 0 are 0.0 and inf"),
        ((0.0,), (1.0, 2.0), "1 dimensions and high has 2"),
    ],
)
def test_bounds_refuse_limits_without_a_width(low: tuple, high: tuple, match: str):
    with pytest.raises(ContractError, match=match):
        Bounds(low, high)


@given(
    values=hnp.arrays(np.float64, (3, 2), elements=st.floats(allow_nan=False, allow_infinity=True)),
    low=st.floats(-10, 0.0),
    width=st.floats(0.1, 10),
)
def test_clamp_never_leaves_the_limits_as_written(values: np.ndarray, low: float, width: float):
    high = low + width
    cut = Clamp((low, low), (high, high)).apply(values)
    assert cut.dtype == np.float32
    # Compared in float64: 0.1 as float32 would be above 0.1.
    assert (cut.astype(np.float64) >= low).all()
    assert (cut.astype(np.float64) <= high).all()


def test_tokens_and_back():
    step = WordTokens(vocabulary_of(["open the drawer", "pull the handle"]), 6)
    tokens = step.apply(["Open, the DRAWER!", "pull the blue handle"])
    assert tokens.dtype == np.int64
    assert tokens.shape == (2, 6)
    assert (tokens[0, 3:] == 0).all()
    assert step.inverse(tokens) == ["open the drawer", "pull the <unknown> handle"]
    assert step.vocab_size == 2 + 5


@given(words=st.lists(st.sampled_from(["open", "the", "drawer", "pull"]), min_size=1, max_size=8))
def test_any_sentence_of_known_words_comes_back(words: list[str]):
    step = WordTokens(("drawer", "open", "pull", "the"), 8)
    assert step.inverse(step.apply([" ".join(words)])) == [" ".join(words)]


def test_a_long_instruction_is_never_cut_in_silence(caplog: pytest.LogCaptureFixture):
    vocabulary = vocabulary_of(["open the drawer"])
    with pytest.raises(ContractError, match="3 words, the policy takes 2"):
        WordTokens(vocabulary, 2).apply(["open the drawer"])
    with caplog.at_level(logging.WARNING, logger="gripline"):
        tokens = WordTokens(vocabulary, 2, overflow="warn").apply(["open the drawer"])
    assert tokens.shape == (1, 2)
    assert "dropped drawer" in caplog.text


def test_unknown_words_are_said_once_each(caplog: pytest.LogCaptureFixture):
    step = WordTokens(("open", "the"), 6)
    with caplog.at_level(logging.WARNING, logger="gripline"):
        for text in ("open the drawer", "Open the DRAWER gently", "open the drawer", "gently", "open the"):
            step.apply([text])
    assert caplog.messages == [
        "no training episode held 'drawer' of 'open the drawer'; the policy takes it for an unknown word",
        "no training episode held 'gently' of 'Open the DRAWER gently'; the policy takes it for an unknown word",
    ]
    assert step.strange_words == ("drawer", "gently")
    assert step == WordTokens(("open", "the"), 6)


def test_a_robot_that_reads_noise_aloud_does_not_fill_memory(caplog: pytest.LogCaptureFixture):
    step = WordTokens(("open",), 4)
    for number in range(1100):
        step.apply([f"w{number}"])
    assert len(step.strange_words) == len(caplog.messages) == 1000


def test_the_length_is_the_next_multiple_of_eight_that_holds_every_word():
    found = [length_for(["open", "so " * words]) for words in (1, 16, 17, 24, 25)]
    assert found == [16, 16, 24, 24, 32]
    assert length_for([]) == 16


def test_a_policy_that_reads_nothing_takes_no_words(caplog: pytest.LogCaptureFixture):
    step = WordTokens(("open",), 3, wordless=True)
    assert step.apply(["", "shut", "open"]).tolist() == [[0, 0, 0], [1, 0, 0], [2, 0, 0]]
    assert not caplog.messages


@pytest.mark.parametrize("text", ["", "  ", "?!", "___"])
def test_an_instruction_without_a_word_is_refused(text: str):
    with pytest.raises(ContractError, match="holds no word"):
        WordTokens(("open",), 4).apply([text])


@pytest.mark.parametrize(
    ("vocabulary", "length", "overflow", "match"),
    [
        (("a", "a"), 4, "refuse", "twice"),
        (("a",), 0, "refuse", "at least 1"),
        (("a",), 4, "drop", "overflow is 'drop'"),
    ],
)
def test_a_tokenizer_that_makes_no_sense_is_refused(vocabulary: tuple, length: int, overflow: str, match: str):
    with pytest.raises(ContractError, match=match):
        WordTokens(vocabulary, length, overflow)  # type: ignore[arg-type]


def test_words_split_at_punctuation_and_keep_an_apostrophe():
    assert split_words("Don't press_the (red) button-2.") == ["don't", "press", "the", "red", "button", "2"]


def test_require_finite_names_the_dimension():
    with pytest.raises(ContractError, match="state hand_y is nan"):
        require_finite("state", np.array([[0.0, np.nan]]), ("hand_x", "hand_y"))
