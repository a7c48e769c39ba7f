"""Small LeRobot trees of versions 2.0, 2.1 and 3.0, written with pyarrow and PyAV to the layout of LeRobot's writer.

Frame `k` of episode `e` is one shade of grey, `shade(e, k)`, so that a test can tell which frame it was given.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.core.episode import Episode
from components.formats.lerobot import reader
from components.formats.mapping import Mapping
from components.formats.source import Opened, Recording

FPS = 10
SIZE = 64
CAMERA = "observation.images.wrist"
STATE_NAMES = ("x", "y", "z")
LENGTHS = (6, 9, 5)
WORDS = ("open the drawer", "close the drawer", "open the drawer")


def shade(episode: int, frame: int) -> int:
    return 20 + 70 * episode + 6 * frame


def state_of(episode: int, length: int) -> np.ndarray[Any, Any]:
    return (np.arange(length * 3).reshape(length, 3) + 100 * episode).astype(np.float32)


def action_of(episode: int, length: int) -> np.ndarray[Any, Any]:
    return (np.arange(length * 2).reshape(length, 2) - 100 * episode).astype(np.float32)


def encode(shades: Sequence[int], *, codec: str = "libx264", size: int = SIZE, fps: int = FPS, **more: str) -> bytes:
    """An mp4 with a frame for each shade; a key frame every second frame, as LeRobot sets it, unless `more` says."""
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 writes its banner to stderr otherwise
    buffer = io.BytesIO()
    options = {"libsvtav1": {"preset": "12", "crf": "20"}, "libx264": {"preset": "ultrafast", "crf": "10", "bf": "0"}}
    with av.open(buffer, "w", format="mp4") as container:
        chosen = {"g": "2", **options.get(codec, {}), **more}
        stream = container.add_stream(codec, rate=fps, options=chosen)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for index, value in enumerate(shades):
            frame = av.VideoFrame.from_ndarray(np.full((size, size, 3), value, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def features(*, dtype: str = "float32", camera: bool = True) -> dict[str, Any]:
    video = {
        "dtype": "video",
        "shape": [SIZE, SIZE, 3],
        "names": ["height", "width", "channels"],
        "info": {"video.codec": "h264", "video.fps": FPS, "video.is_depth_map": False, "has_audio": False},
    }
    found: dict[str, Any] = {
        "observation.state": {"dtype": dtype, "shape": [3], "names": {"motors": list(STATE_NAMES)}},
        "action": {"dtype": dtype, "shape": [2], "names": [["dx", "dy"]]},
    }
    if camera:
        found[CAMERA] = video
    books = {"timestamp": "float32", "frame_index": "int64", "episode_index": "int64", "index": "int64"}
    for key, kind in {**books, "task_index": "int64"}.items():
        found[key] = {"dtype": kind, "shape": [1], "names": None}
    return found


def info(version: str, **changes: Any) -> dict[str, Any]:
    v3 = version == "v3.0"
    data = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
    video = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    if not v3:
        data = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
        video = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
    found = {
        "codebase_version": version,
        "robot_type": "testbot",
        "total_episodes": len(LENGTHS),
        "total_frames": sum(LENGTHS),
        "total_tasks": 2,
        "chunks_size": 1000,
        "fps": FPS,
        "splits": {"train": f"0:{len(LENGTHS)}"},
        "data_path": data,
        "video_path": video,
        "features": features(),
    }
    return {**found, **changes}


def write_info(root: Path, version: str, **changes: Any) -> None:
    (root / "meta").mkdir(parents=True, exist_ok=True)
    (root / "meta" / "info.json").write_text(json.dumps(info(version, **changes), indent=4))


def vectors(values: np.ndarray[Any, Any], *, fixed: bool = True) -> pa.Array:
    if fixed:
        return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
    return pa.array(values.tolist(), pa.list_(pa.from_numpy_dtype(values.dtype)))


def table(
    episode: int, length: int, *, first: int = 0, fixed: bool = True, extra: dict[str, Any] | None = None
) -> pa.Table:
    """Rows of one episode; `extra` columns are added, those that are None are left out."""
    ticks = np.arange(length)
    columns: dict[str, Any] = {
        "observation.state": vectors(state_of(episode, length), fixed=fixed),
        "action": vectors(action_of(episode, length), fixed=fixed),
        "timestamp": (ticks / FPS).astype(np.float32),
        "frame_index": ticks,
        "episode_index": np.full(length, episode),
        "index": ticks + first,
        "task_index": np.full(length, episode % 2),
        **(extra or {}),
    }
    return pa.table({name: values for name, values in columns.items() if values is not None})


def write_jsonl(path: Path, rows: Sequence[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_v2(root: Path, *, version: str = "v2.1", codec: str = "libx264", fixed: bool = True) -> Path:
    """A table and an mp4 for each episode."""
    write_info(root, version)
    rows = [{"episode_index": e, "tasks": [WORDS[e]], "length": n} for e, n in enumerate(LENGTHS)]
    write_jsonl(root / "meta" / "episodes.jsonl", rows)
    write_jsonl(root / "meta" / "tasks.jsonl", [{"task_index": i, "task": WORDS[i]} for i in range(2)])
    for episode, length in enumerate(LENGTHS):
        path = v2_data(root, episode)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table(episode, length, fixed=fixed), path)
        path = v2_video(root, episode)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode([shade(episode, k) for k in range(length)], codec=codec))
    return root


def v2_data(root: Path, episode: int) -> Path:
    return root / "data" / "chunk-000" / f"episode_{episode:06d}.parquet"


def v2_video(root: Path, episode: int) -> Path:
    return root / "videos" / "chunk-000" / CAMERA / f"episode_{episode:06d}.mp4"


def write_v3(
    root: Path,
    *,
    codec: str = "libx264",
    task_column: str = "__index_level_0__",
    last_frame_ends: bool = False,
    group_rows: int | None = None,
) -> Path:
    """Episodes 0 and 1 share the first table and mp4, episode 2 has the second ones; each has its own metadata file.

    `group_rows`: rows of a row group, one group an episode where None; `last_frame_ends`: `to_timestamp` is the time of
    the last frame, as some writers have it, and not the end of it.
    """
    write_info(root, "v3.0")
    tasks = pa.table({"task_index": [0, 1], task_column: list(WORDS[:2])})
    pq.write_table(tasks, root / "meta" / "tasks.parquet")
    first = 0
    for number, episodes in enumerate(((0, 1), (2,))):
        start, tables, shades = 0, [], []
        rows = []
        for episode in episodes:
            length = LENGTHS[episode]
            tables.append(table(episode, length, first=first))
            shades += [shade(episode, k) for k in range(length)]
            ends = start + length - int(last_frame_ends)
            rows.append(
                {
                    "episode_index": episode,
                    "data/chunk_index": 0,
                    "data/file_index": number,
                    "dataset_from_index": first,
                    "dataset_to_index": first + length,
                    f"videos/{CAMERA}/chunk_index": 0,
                    f"videos/{CAMERA}/file_index": number,
                    f"videos/{CAMERA}/from_timestamp": start / FPS,
                    f"videos/{CAMERA}/to_timestamp": ends / FPS,
                    "tasks": [WORDS[episode]],
                    "length": length,
                    "stats/action/min": [0.0, 0.0],
                }
            )
            first, start = first + length, start + length
        _write_tables(v3_data(root, number), tables, group_rows)
        v3_video(root, number).parent.mkdir(parents=True, exist_ok=True)
        v3_video(root, number).write_bytes(encode(shades, codec=codec))
        path = v3_episodes(root, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), path)
    return root


def _write_tables(path: Path, tables: Sequence[pa.Table], group_rows: int | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if group_rows:
        pq.write_table(pa.concat_tables(tables), path, row_group_size=group_rows)
        return
    with pq.ParquetWriter(path, tables[0].schema) as writer:
        for one in tables:
            writer.write_table(one)


def v3_data(root: Path, number: int) -> Path:
    return root / "data" / "chunk-000" / f"file-{number:03d}.parquet"


def v3_video(root: Path, number: int) -> Path:
    return root / "videos" / CAMERA / "chunk-000" / f"file-{number:03d}.mp4"


def v3_episodes(root: Path, number: int) -> Path:
    return root / "meta" / "episodes" / "chunk-000" / f"file-{number:03d}.parquet"


def open_tree(root: Path, mapping: Mapping | None = None) -> tuple[Recording, Opened]:
    opened = reader.open_source(root, mapping, where="tree")
    recording = Recording(
        root, "tree", "lerobot", opened.dialect, "0" * 64, opened.parts, opened.mapping, opened.problems
    )
    return recording, opened


def read(root: Path, episode: int, mapping: Mapping | None = None) -> Episode:
    recording, _ = open_tree(root, mapping)
    return reader.read_part(recording, f"episode_{episode:06d}")


def problems(root: Path) -> dict[str, str]:
    return {problem.code: problem.detail for problem in open_tree(root)[1].problems}


def shades_of(frames: Sequence[Any]) -> list[int]:
    """What each frame shows; encoding moves a shade by a few steps at most, neighbours are six apart."""
    return [round(float(np.mean(frames[index]))) for index in range(len(frames))]


def assert_frames(frames: Sequence[Any], episode: int) -> None:
    assert len(frames) == LENGTHS[episode]
    expected = [shade(episode, k) for k in range(LENGTHS[episode])]
    assert np.abs(np.array(shades_of(frames)) - expected).max() <= 2
