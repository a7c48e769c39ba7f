"""One episode to look at: episode.rrd for the Rerun viewer, episode.html for any browser."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from components.core.figures import thinned
from components.core.files import write_text
from components.dataset.outside import require_place
from components.dataset.pictures import depth_frames, frames, grey, jpeg
from components.view.episode_page import MOST_FRAMES, page
from components.view.find import Chosen
from components.view.recording import write_recording
from components.view.signals import read_signals

# Of the pictures in the recording, and of those in the page, which are made smaller too.
_QUALITY = 92
_PAGE_QUALITY = 80
_PAGE_PX = 320


@dataclass(frozen=True)
class Viewed:
    recording: Path
    html: Path
    frames: int


def view(chosen: Chosen, out: Path) -> Viewed:
    """Writes episode.rrd and episode.html into `out`. The same episode gives the same page.

    Raises `DatasetError` where its frames cannot be read, and `UsageError` for an `out` that is no place for them;
    nothing is written then.
    """
    require_place(out)
    signals = read_signals(chosen.dataset, chosen.index)
    shown = set(thinned(len(signals.time_s), MOST_FRAMES).tolist())
    whole: dict[str, list[bytes]] = {}
    small: dict[str, list[bytes]] = {}
    for camera in chosen.dataset.cameras:
        whole[camera], small[camera] = [], []
        for tick, image in enumerate(frames(chosen.dataset, chosen.index, camera)):
            whole[camera].append(jpeg(image, quality=_QUALITY))
            if tick in shown:
                small[camera].append(jpeg(image, quality=_PAGE_QUALITY, widest_px=_PAGE_PX))
    for camera in chosen.dataset.depth_cameras(chosen.index):
        small[f"{camera} (depth)"] = list(_depth(chosen, camera, shown))
    text = page(chosen, signals, small)
    viewed = Viewed(out / "episode.rrd", out / "episode.html", len(signals.time_s))
    write_recording(viewed.recording, chosen, signals, whole)
    write_text(viewed.html, text)
    return viewed


def _depth(chosen: Chosen, camera: str, shown: set[int]) -> Iterable[bytes]:
    """Depth in grey, one scale for the whole episode."""
    kept = [image for tick, image in enumerate(depth_frames(chosen.dataset, chosen.index, camera)) if tick in shown]
    farthest = max(int(image.max()) for image in kept)
    for image in kept:
        yield jpeg(grey(image, farthest), quality=_PAGE_QUALITY, widest_px=_PAGE_PX)
