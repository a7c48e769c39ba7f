"""Whether an episode belongs into a dataset: who made it, its cameras, its widths, its encoding."""

from __future__ import annotations

from typing import Any

from components.core.errors import DatasetError
from components.core.spec import Embodiment
from components.dataset.layout import ACTION, STATE, TIME
from components.dataset.prepared import PreparedEpisode
from components.dataset.remux import EncodedEpisode, inspect_episode

Extras = dict[str, tuple[str, int]]


def extras_of(episode: PreparedEpisode) -> Extras:
    """Feature key -> dtype and width of every column that not all datasets have."""
    return {
        key: (str(values.dtype), values.shape[1])
        for key, values in episode.columns.items()
        if key not in (STATE, ACTION, TIME)
    }


def require_fit(
    episode: PreparedEpisode, embodiment: Embodiment, *, fps: int, video: dict[str, Any], extras: Extras | None
) -> None:
    """Raises `DatasetError` naming the first thing in which `episode` differs from the dataset.

    `extras`: those of the episodes before, where there are any. A depth camera may be absent, none may be added.
    """
    seen, found = embodiment.observation, extras_of(episode)
    pairs = [
        ("embodiment", episode.row["embodiment"], embodiment.name),
        ("fps", episode.fps, fps),
        ("video settings", episode.video, video),
        ("cameras", sorted(episode.videos), sorted(seen.cameras)),
        ("unknown depth cameras", sorted(set(episode.depth) - set(seen.depth)), []),
        ("state width", episode.columns[STATE].shape[1], len(seen.state_names)),
        ("action width", episode.columns[ACTION].shape[1], embodiment.action.dim),
        ("extras", found, found if extras is None else extras),
    ]
    for name, value, expected in pairs:
        if value != expected:
            raise DatasetError(f"{name}: {value!r}, expected {expected!r}", where=episode.where)


def fitting_videos(episode: PreparedEpisode, embodiment: Embodiment) -> dict[str, EncodedEpisode]:
    """Camera -> its video, which holds as many frames as the episode, of the embodiment's size."""
    px = embodiment.observation.image_px
    videos = {}
    for camera in embodiment.observation.cameras:
        video = _inspected(episode, camera, episode.videos[camera])
        if (video.height, video.width) != (px, px):
            size = f"{video.height} x {video.width}, expected {px} x {px}"
            raise DatasetError(f"pictures are {size}", where=f"{episode.where} ({camera})")
        videos[camera] = video
    return videos


def fitting_depth(episode: PreparedEpisode) -> dict[str, EncodedEpisode]:
    """Depth camera -> its video, which holds as many frames as the episode."""
    return {camera: _inspected(episode, camera, data) for camera, data in sorted(episode.depth.items())}


def _inspected(episode: PreparedEpisode, camera: str, data: bytes) -> EncodedEpisode:
    where = f"{episode.where} ({camera})"
    video = inspect_episode(data, where=where)
    if video.frames != len(episode):
        raise DatasetError(f"encoded video has {video.frames} frames, expected {len(episode)}", where=where)
    return video
