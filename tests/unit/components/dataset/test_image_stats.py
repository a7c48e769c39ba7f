from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.dataset.image_stats import ImageStats, sample_indices
from components.dataset.stats import QUANTILES, STAT_NAMES, FeatureStats


def same(left: FeatureStats, right: FeatureStats) -> bool:
    return all(np.array_equal(left[name], right[name]) for name in STAT_NAMES)


def test_image_statistics_are_those_of_the_pixels() -> None:
    frames = np.random.default_rng(1).integers(0, 200, (30, 8, 9, 3), dtype=np.uint8)
    frames[..., 2] //= 3
    stats = stats_of(frames)
    pixels = frames.reshape(-1, 3) / 255
    assert stats["mean"].shape == (3, 1, 1)
    assert stats["count"] == [30]
    for name, values in (("min", pixels.min(0)), ("max", pixels.max(0)), ("mean", pixels.mean(0))):
        np.testing.assert_allclose(stats[name].ravel(), values)
    np.testing.assert_allclose(stats["std"].ravel(), pixels.std(0))
    for name, share in QUANTILES.items():
        np.testing.assert_allclose(stats[name].ravel(), np.quantile(pixels, share, axis=0, method="lower"), atol=1e-9)


def test_image_statistics_of_a_long_episode_look_at_some_of_its_frames() -> None:
    frames = np.random.default_rng(1).integers(0, 200, (400, 4, 4, 3), dtype=np.uint8)
    assert same(stats_of(frames), stats_of(frames[sample_indices(400)]) | {"count": np.array([100])})


def stats_of(frames: npt.NDArray[np.uint8]) -> FeatureStats:
    running = ImageStats(len(frames))
    for frame in frames:
        running.add(frame)
    for name, share in QUANTILES.items():
        np.testing.assert_array_equal(running.sketch.quantile(share), running.result()[name].ravel())
    return running.result()


def test_sampling_covers_an_episode_evenly() -> None:
    assert sample_indices(60).tolist() == list(range(60))
    picked = sample_indices(2000)
    assert len(picked) == int(2000**0.75)
    assert (picked[0], picked[-1]) == (0, 1999)
    assert set(np.diff(picked)) <= {6, 7}
