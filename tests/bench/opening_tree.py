"""A dataset tree of any number of episodes, of which few have bytes of their own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.core.files import read_json, sha256_file, write_json
from components.core.params import Video
from components.core.records import Record, write_record
from components.core.spec import SAWYER_CELL
from components.dataset import layout
from components.dataset.close import write_index
from components.dataset.frames import ROW_COLUMNS, EpisodeFrames
from components.dataset.index_schema import index_schema
from components.dataset.reader import Dataset
from components.dataset.writer import DatasetWriter

FPS = 20
PX = 32
LENGTH = 12
PER_FILE = 200
CELL = replace(SAWYER_CELL, observation=replace(SAWYER_CELL.observation, image_px=PX))
VIDEO = Video(codec="h264", crf=18, gop=10, pix_fmt="yuv420p")

Numbers = npt.NDArray[np.int64]


def make_tree(root: Path, episodes: int, real: Iterable[int]) -> None:
    """Writes one file of each kind with the writer, links it as often as needed, and an index of all.

    `real`: episodes whose data file holds their own numbers.
    """
    seed = root.with_name(f"{root.name}-seed")
    write_seed(seed)
    source = Dataset.open(seed)
    files = -(-episodes // PER_FILE)
    numbers = np.arange(episodes)
    templates = [layout.DATA_PATH, layout.EPISODES_PATH, layout.STREAMS_PATH, layout.SKETCHES_PATH]
    templates += [layout.video_path(key) for key in layout.video_keys(source.features)]
    listed: dict[str, str] = {}
    for template in templates:
        listed |= link(seed, root, template, files)
    for file in sorted({episode // PER_FILE for episode in real}):
        listed |= renumber(root, file)
    write_index(root / layout.OWN_EPISODES, index_of(source, numbers))
    write_metadata(source, root, episodes, listed)


def write_seed(root: Path) -> None:
    """One file of each kind, as full as all of them."""
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 255, (LENGTH, PX, PX, 3), dtype=np.uint8)
    with DatasetWriter(root, CELL, FPS, VIDEO) as writer:
        for number in range(PER_FILE):
            stream = {"stream": "hand", "kind": "state", "count": LENGTH, "rate_hz": 20.0, "duration_s": 1.0}
            stream |= {"start_offset_s": 0.0, "backwards": 0, "duplicates": 0, "jitter": 0.0, "max_gap_s": 0.05}
            stream |= {"gaps": 0, "nan_count": 0, "worst_misalignment_ms": None}
            writer.add_frames(
                EpisodeFrames(
                    episode_id=hashlib.sha256(str(number).encode()).hexdigest(),
                    task="task",
                    instruction="move the block",
                    images=dict.fromkeys(CELL.observation.cameras, noise),
                    state=rng.normal(size=(LENGTH, 4)).astype(np.float32),
                    action=rng.uniform(-1, 1, (LENGTH, 4)).astype(np.float32),
                    time_s=np.arange(LENGTH) / FPS,
                    row=dict.fromkeys(ROW_COLUMNS, "") | {"embodiment": CELL.name},
                    streams=[stream],
                )
            )
        writer.close()


def link(seed: Path, root: Path, template: str, files: int) -> dict[str, str]:
    """Name -> sha256 of `files` hard links to the first file of a kind."""
    source = seed / template.format(**layout.place(0))
    digest = sha256_file(source)
    names = [template.format(**layout.place(number)) for number in range(files)]
    for name in names:
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, target)
    return dict.fromkeys(names, digest)


def renumber(root: Path, file: int) -> dict[str, str]:
    """Gives a data file the episode numbers of its place."""
    name = layout.DATA_PATH.format(**layout.place(file))
    table = pq.read_table(root / name)
    at = table.column_names.index("episode_index")
    own = table.set_column(at, "episode_index", pc.add(table["episode_index"], file * PER_FILE))
    (root / name).unlink()
    pq.write_table(own, root / name, compression="snappy", row_group_size=1024)
    return {name: sha256_file(root / name)}


def index_of(source: Dataset, numbers: Numbers) -> pa.Table:
    """Rows as the writer makes them: hashes and sources of their own, words and people in common."""
    count, file = len(numbers), numbers // PER_FILE
    chunk = {"chunk_index": file // layout.CHUNKS_SIZE, "file_index": file % layout.CHUNKS_SIZE}
    within = numbers % PER_FILE
    columns: dict[str, Any] = {name: pa.array([""]).take(pa.array(np.zeros(count, int))) for name in ROW_COLUMNS}
    for seed, name in enumerate(("episode_id", "pixel_sha256", "frames_sha256", "source_sha256")):
        columns[name] = hashes(count, seed)
    columns |= {
        "episode_index": numbers,
        "length": np.full(count, LENGTH),
        "task": cycled("task", numbers, 50),
        "instruction": cycled("please do what is asked for in task", numbers, 500),
        "source_uri": pc.binary_join_element_wise("site", pc.cast(pa.array(numbers), pa.string()), ".mcap", "-"),
        "embodiment": cycled(CELL.name, numbers * 0, 1),
        "robot_id": cycled("robot", numbers, 500),
        "site": cycled("site", numbers // 5000, 20),
        "collector_id": cycled("collector", numbers // 100, 300),
        "recorded_at": pc.binary_join_element_wise("2026-01-01T", pc.cast(pa.array(numbers), pa.string()), ""),
        "split": cycled("train", numbers * 0, 1),
        "dataset_from_index": numbers * LENGTH,
        "data/row": within * LENGTH,
        "streams/row": within,
        "streams/count": np.ones(count, int),
    }
    videos = [f"videos/{key}" for key in layout.video_keys(source.features)]
    for prefix in ("data", "meta/episodes", "streams", *videos):
        columns |= {f"{prefix}/{name}": values for name, values in chunk.items()}
    columns |= {f"{prefix}/first_frame": within * LENGTH for prefix in videos}
    schema = index_schema(source.features, ())
    return pa.table([pa.array(columns[field.name]).cast(field.type) for field in schema], schema=schema)


def hashes(count: int, seed: int) -> pa.Array:
    """Hexadecimal digests of 32 bytes."""
    text = np.random.default_rng(seed).bytes(32 * count).hex()
    offsets = pa.array(np.arange(count + 1) * 64, pa.int32())
    return pa.StringArray.from_buffers(count, offsets.buffers()[1], pa.py_buffer(text.encode()))


def cycled(word: str, numbers: Numbers, kinds: int) -> pa.Array:
    words = pa.array([f"{word}-{kind}" if kinds > 1 else word for kind in range(kinds)])
    return words.take(pa.array(numbers % kinds))


def write_metadata(source: Dataset, root: Path, episodes: int, listed: dict[str, str]) -> None:
    frames, seed = episodes * LENGTH, source.root
    for name in (layout.STATS, layout.TASKS, layout.OWN_EMBODIMENT):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes((seed / name).read_bytes())
    counters = {"next_episode_index": episodes, "next_frame_index": frames}
    write_json(root / layout.OWN_TOTALS, read_json(seed / layout.OWN_TOTALS) | counters)
    info = source.info | {"total_episodes": episodes, "total_frames": frames, "splits": {"train": f"0:{episodes}"}}
    write_json(root / layout.INFO, info)
    mended = (layout.OWN_TOTALS, layout.INFO, layout.OWN_EPISODES)
    for name in (layout.STATS, layout.TASKS, layout.OWN_EMBODIMENT, *mended):
        listed[name] = sha256_file(root / name)
    write_json(root / layout.OWN_FILES, listed)
    attrs = source.record.attrs | {"files_sha256": sha256_file(root / layout.OWN_FILES)}
    counts: dict[str, float] = {"episodes": episodes, "frames": frames}
    write_record(root / layout.OWN, Record("dataset", source.digest, counts=counts, attrs=attrs))
