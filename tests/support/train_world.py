"""A small dataset with verdicts, for tests that train through files."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from components.core.params import Video
from components.core.spec import SAWYER_CELL, Embodiment
from components.core.workspace import Workspace
from components.dataset.frames import ROW_COLUMNS, EpisodeFrames
from components.dataset.reader import Dataset
from components.dataset.writer import DatasetWriter

CELL = replace(SAWYER_CELL, observation=replace(SAWYER_CELL.observation, image_px=32))
LENGTH = 12


def write_dataset(root: Path, body: Embodiment = CELL) -> None:
    """Eight episodes: 0-4 to train on, 5-7 held out. State i is i + noise, so that statistics show who was used."""
    rng = np.random.default_rng(0)
    sides: dict[str, str] = {}
    px = body.observation.image_px
    with DatasetWriter(root, body, 20, Video(codec="h264", crf=18, gop=2, pix_fmt="yuv420p")) as writer:
        for number in range(8):
            name = hashlib.sha256(bytes([number])).hexdigest()
            row = dict.fromkeys(ROW_COLUMNS, "") | {"embodiment": body.name, "source_uri": f"{number}.mcap"}
            sides[name] = "val" if number >= 5 else "train"
            images = {
                camera: rng.integers(0, 256, (LENGTH, px, px, 3), dtype=np.uint8) for camera in ("fixed", "wrist")
            }
            state = (number + rng.normal(0, 0.1, (LENGTH, 4))).astype(np.float32)
            action = rng.uniform(-1, 1, (LENGTH, 4)).astype(np.float32)
            words = ("open the drawer", "press the button", "pull the handle")[number % 3]
            time_s = np.arange(LENGTH) / 20
            writer.add_frames(EpisodeFrames(name, "task", words, images, state, action, time_s, row))
        writer.close(sides)


def write_verdicts(
    workspace: Workspace,
    *,
    refused: tuple[int, ...] = (),
    unjudged: tuple[int, ...] = (),
    quality: dict[int, float] | None = None,
) -> None:
    """All name episodes by the number in their source; without `quality` the verdicts have no such column."""
    rows = []
    for episode in Dataset.open(workspace.dataset).episodes.itertuples():
        number = int(episode.source_uri.removesuffix(".mcap"))
        if number not in unjudged:
            verdict = "quarantined" if number in refused else "accepted"
            row = {"episode_id": episode.episode_id, "verdict": verdict, "codes": []}
            rows.append(row if quality is None else row | {"quality": quality.get(number)})
    workspace.checks.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_parquet(workspace.checks / "verdicts.parquet", index=False)
