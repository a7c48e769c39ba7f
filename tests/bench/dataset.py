"""What the dataset store costs and what its video keeps.

    python tests/bench/dataset.py                       # drawn frames
    python tests/bench/dataset.py --source cell         # frames of the simulated cell (renders first)

CPU seconds of this process, one thread; frames are camera images.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import typer

from components.core.params import Video, load_params
from components.core.spec import SAWYER_CELL
from components.dataset.frames import ROW_COLUMNS, EpisodeFrames
from components.dataset.reader import Dataset
from components.dataset.video import decode_episode, encode_episode
from components.dataset.writer import DatasetWriter

Frames = npt.NDArray[np.uint8]
FPS = 20
CAMERAS = SAWYER_CELL.observation.cameras
SIZE_PX = SAWYER_CELL.observation.image_px
PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"


class Source(StrEnum):
    drawn = "drawn"
    cell = "cell"


@dataclass(frozen=True)
class Cost:
    cpu_s: float
    wall_s: float
    value: Any


def timed(act: Callable[[], Any]) -> Cost:
    cpu, wall = time.process_time(), time.perf_counter()
    value = act()
    return Cost(time.process_time() - cpu, time.perf_counter() - wall, value)


def psnr_db(left: Frames, right: Frames) -> float:
    return float(10 * np.log10(255**2 / np.mean((left.astype(np.float64) - right) ** 2)))


def drawn(episodes: int, length: int) -> Iterator[dict[str, Frames]]:
    """Discs that move over a textured ground, with sensor noise of 2 levels."""
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX]
    for seed in range(episodes):
        rng = np.random.default_rng(seed)
        images = {}
        for camera in CAMERAS:
            ground = 120 + 30 * np.sin(x[..., None] / rng.uniform(3, 9, 3)) + 30 * np.cos(y[..., None] / 7)
            frames = np.repeat(ground[None], length, axis=0)
            for colour in rng.integers(0, 255, (4, 3)):
                phase = rng.uniform(0, 6, 2)
                for tick in range(length):
                    centre = SIZE_PX * (0.5 + 0.4 * np.sin(tick / 15 + phase))
                    frames[tick][(x - centre[0]) ** 2 + (y - centre[1]) ** 2 < 81] = colour
            images[camera] = np.clip(frames + rng.normal(0, 2, frames.shape), 0, 255).astype(np.uint8)
        yield images


def rendered(episodes: int, length: int) -> Iterator[dict[str, Frames]]:
    """The simulated cell while its expert works."""
    from components.sim.cell import Cell
    from components.sim.expert import Expert
    from components.sim.tasks import TASKS

    tasks = list(TASKS.values())
    for seed in range(episodes):
        task = tasks[seed % len(tasks)]
        seen: dict[str, list[Frames]] = {camera: [] for camera in CAMERAS}
        with Cell(task) as cell:
            cell.reset(seed)
            expert = Expert(task)
            for _ in range(length):
                for camera, image in cell.observe().images.items():
                    seen[camera].append(image)
                cell.step(expert.act(cell))
        yield {camera: np.stack(frames) for camera, frames in seen.items()}


def episode(number: int, images: dict[str, Frames]) -> EpisodeFrames:
    rng = np.random.default_rng(number)
    length = len(images[CAMERAS[0]])
    row = dict.fromkeys(ROW_COLUMNS, "") | {"embodiment": SAWYER_CELL.name}
    return EpisodeFrames(
        episode_id=hashlib.sha256(str(number).encode()).hexdigest(),
        task="bench",
        instruction="move",
        images=images,
        state=rng.normal(size=(length, 4)).astype(np.float32),
        action=rng.uniform(-1, 1, (length, 4)).astype(np.float32),
        time_s=np.arange(length) / FPS,
        row=row,
    )


def report_video(recorded: list[dict[str, Frames]], video: Video) -> None:
    for camera in CAMERAS:
        clips = [images[camera] for images in recorded]
        count = sum(len(clip) for clip in clips)
        encoded = timed(lambda clips=clips: [encode_episode(clip, FPS, video) for clip in clips])
        decoded = timed(lambda data=encoded.value: [decode_episode(part) for part in data])
        quality = [psnr_db(clip, seen) for clip, seen in zip(clips, decoded.value, strict=True)]
        print(
            f"{video.codec:10} {video.pix_fmt} crf {video.crf:2} gop {video.gop:2} {camera:6}"
            f"  psnr {np.mean(quality):5.1f} dB (worst episode {min(quality):5.1f})"
            f"  {sum(map(len, encoded.value)) / count:6.0f} B/frame"
            f"  encode {count / encoded.cpu_s:5.0f} frames/s  decode {count / decoded.cpu_s:5.0f} frames/s"
        )


def report_store(recorded: list[dict[str, Frames]], video: Video) -> None:
    episodes = [episode(number, images) for number, images in enumerate(recorded)]
    rows = sum(len(e) for e in episodes)
    folder = Path(tempfile.mkdtemp())

    def write() -> None:
        with DatasetWriter(folder / "tree", SAWYER_CELL, FPS, video) as writer:
            for one in episodes:
                writer.add_frames(one)
            writer.close()

    try:
        written = timed(write)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        opened = timed(lambda: Dataset.open(folder / "tree"))
    finally:
        shutil.rmtree(folder)
    print(f"write  {rows} rows: {written.cpu_s:.2f} CPU s = {4000 * written.cpu_s / rows:.1f} per 4,000 rows")
    print(f"size   {size / 1e6:.2f} MB, {size / rows:.0f} B a row")
    print(f"open   {opened.wall_s * 1e3:.0f} ms")


def main(source: Source = Source.drawn, episodes: int = 5, length: int = 80, every_setting: bool = True) -> None:
    """Prints quality, size and cost of the video settings, then of writing and opening a tree."""
    video = load_params(PARAMS).ingest.video
    recorded = list((rendered if source is Source.cell else drawn)(episodes, length))
    settings = [video]
    if every_setting:
        settings += [
            Video(codec="h264", crf=crf, gop=gop, pix_fmt=fmt)
            for fmt in ("yuv420p", "yuv444p")
            for crf, gop in ((18, 2), (18, 10), (12, 2), (8, 10))
        ]
        settings.append(Video(codec="libsvtav1", crf=30, gop=2, pix_fmt="yuv420p"))
    for setting in settings:
        report_video(recorded, setting)
    report_store(recorded, video)


if __name__ == "__main__":
    typer.run(main)
