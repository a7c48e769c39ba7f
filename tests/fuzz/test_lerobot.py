"""Damaged LeRobot trees: each case ends in episodes or in an error with a code and a place, in bounded time and memory.

pyarrow and libav may end the process on damaged input, so the cases run in forked children; one that dies is noted as
`reader_crashed`, as in production, and the next child goes on behind it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import resource
import shutil
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from beside import UNIT, helpers
from PIL import Image

from components.core.episode import Episode, Stream, episode_id
from components.core.errors import FormatError
from components.formats.images import decode_image
from components.formats.lerobot import reader
from components.formats.source import Recording

CODES = {
    "bad_image",
    "bad_index",
    "bad_info",
    "bad_metadata",
    "bad_table",
    "bad_time",
    "bad_video",
    "empty",
    "length_mismatch",
    "missing_column",
    "missing_image",
    "missing_stream",
    "missing_value",
    "no_episodes",
    "too_large",
    "truncated",
    "unsupported_version",
    "video_too_short",
    "wrong_shape",
    "wrong_type",
}
READ = "read"
CRASHED = "reader_crashed"
CPU_LIMIT_S = 20
# Address space beyond what the process has when it begins, and memory that it may have used when all is done.
MEMORY_LIMIT = 3 << 30
GROWTH_LIMIT_KB = 300 << 10

Mutations = Callable[[bytes, int, int], Iterator[tuple[str, bytes]]]


@dataclass(frozen=True)
class Target:
    """A file of a tree, how often it is damaged, and the episodes that must not notice."""

    tree: str
    file: str
    cases: int
    untouched: tuple[int, ...] = ()
    # Bytes are damaged; or values replaced, so that what is written is well-formed and absurd.
    values: bool = False


V2_TABLE = "data/chunk-000/episode_000001.parquet"
V2_VIDEO = "videos/chunk-000/observation.images.wrist/episode_000001.mp4"
V3_TABLE = "data/chunk-000/file-000.parquet"
V3_VIDEO = "videos/observation.images.wrist/chunk-000/file-000.mp4"
TARGETS = (
    Target("v21", "meta/info.json", 120),
    Target("v21", "meta/episodes.jsonl", 80),
    Target("v21", "meta/tasks.jsonl", 40),
    Target("v21", V2_TABLE, 340, untouched=(0, 2)),
    Target("v21", V2_VIDEO, 250, untouched=(0, 2)),
    Target("av1", V2_VIDEO, 150, untouched=(0, 2)),
    Target("v30", "meta/info.json", 120),
    Target("v30", "meta/tasks.parquet", 100),
    Target("v30", "meta/episodes/chunk-000/file-000.parquet", 200, untouched=(2,)),
    Target("v30", V3_TABLE, 250, untouched=(2,)),
    Target("v30", V3_VIDEO, 200, untouched=(2,)),
    Target("inline", V2_TABLE, 150, untouched=(0, 2)),
    Target("v21", "meta/info.json", 150, values=True),
    Target("v30", "meta/info.json", 150, values=True),
    Target("v21", "meta/episodes.jsonl", 60, values=True),
    Target("v21", V2_TABLE, 200, untouched=(0, 2), values=True),
    Target("v30", "meta/tasks.parquet", 40, values=True),
    Target("v30", "meta/episodes/chunk-000/file-000.parquet", 200, values=True),
    Target("v30", V3_TABLE, 120, untouched=(2,), values=True),
    Target("inline", V2_TABLE, 80, untouched=(0, 2), values=True),
)
REAL_TARGETS = (
    Target("v21_unitree_g1", V2_TABLE, 150, untouched=(2,)),
    Target("v30_reachy2_apple", V3_TABLE, 100),
    Target("v30_reachy2_apple", "meta/episodes/chunk-000/file-000.parquet", 60),
)
SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "data" / "lerobot"


@dataclass(frozen=True)
class Case:
    target: Target
    name: str
    data: bytes


@pytest.fixture(scope="module")
def trees() -> ModuleType:
    return helpers(UNIT / "formats/lerobot/trees.py")


@pytest.fixture(scope="module")
def folder(trees: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trees")
    trees.write_v2(root / "v21")
    trees.write_v2(root / "av1", codec="libsvtav1")
    trees.write_v3(root / "v30")
    inline = trees.write_v2(root / "inline")
    shutil.rmtree(inline / "videos")
    picture = {"dtype": "image", "shape": [8, 8, 3], "names": ["height", "width", "channels"]}
    trees.write_info(inline, "v2.1", features=trees.features(camera=False) | {trees.CAMERA: picture})
    for episode, length in enumerate(trees.LENGTHS):
        pngs = [{"bytes": png(trees.shade(episode, k)), "path": f"{k}.png"} for k in range(length)]
        pq.write_table(
            trees.table(episode, length, extra={trees.CAMERA: pa.array(pngs)}), trees.v2_data(inline, episode)
        )
    return root


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


WILD = (
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**53,
    2**70,
    0.5,
    -1e9,
    1e300,
    "",
    "x",
    "../../x",
    "/x",
    "{episode_index.x}",
    [],
    {},
)
WILD_ARROW = (
    lambda rows: pa.nulls(rows),
    lambda rows: pa.array(["x"] * rows),
    lambda rows: pa.array([b"x"] * rows),
    lambda rows: pa.array([True] * rows),
    lambda rows: pa.array([-1] * rows),
    lambda rows: pa.array([2**62] * rows),
    lambda rows: pa.array([float("nan")] * rows),
    lambda rows: pa.array([1e300] * rows),
    lambda rows: pa.array([None, *range(1, rows)], pa.int64()),
    lambda rows: pa.array([[1.0, 2.0]] * rows),
    lambda rows: pa.array([[1.0] * (row % 3) for row in range(rows)]),
    lambda rows: pa.array([[None, 2.0]] * rows),
    lambda rows: pa.array([[]] * rows, pa.list_(pa.float32())),
    lambda rows: pa.array([[[1.0], [2.0]]] * rows),
    lambda rows: pa.array([["x"]] * rows),
    lambda rows: pa.array([{"bytes": b"x", "path": None}] * rows),
    lambda rows: pa.array([{"bytes": None, "path": "../x"}] * rows),
    lambda rows: pa.array([0] * rows, pa.timestamp("ns")),
    lambda rows: pa.array([1] * rows, pa.decimal128(5, 2)),
    lambda rows: pa.array(["x"] * rows).dictionary_encode(),
    lambda rows: pa.array([1] * rows, pa.uint64()),
    lambda rows: pa.array([1.0] * rows, pa.float16()),
)


def wild(target: Target, data: bytes, seed: int) -> Iterator[tuple[str, bytes]]:
    """The file with values of it replaced by others, or left out."""
    draw = random.Random(seed)
    for number in range(target.cases):
        if target.file.endswith(".parquet"):
            yield wild_table(data, draw, number)
        else:
            lines = data.splitlines() if target.file.endswith(".jsonl") else [data]
            place = draw.randrange(len(lines))
            value = json.loads(lines[place])
            done = "; ".join(replace_one(value, draw) for _ in range(draw.choice((1, 1, 2))))
            lines[place] = json.dumps(value).encode()
            yield f"{number}:{done}", b"\n".join(lines)


def replace_one(value: Any, draw: random.Random) -> str:
    """Goes down a random way and replaces what is there, in place."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    if not keys:
        return "nothing"
    key = draw.choice(keys)
    if isinstance(value[key], dict | list) and value[key] and draw.random() < 0.8:
        return f"{key}.{replace_one(value[key], draw)}"
    if draw.random() < 0.15:
        del value[key]
        return f"{key} deleted"
    value[key] = draw.choice(WILD)
    return f"{key}={value[key]!r}"


def wild_table(data: bytes, draw: random.Random, number: int) -> tuple[str, bytes]:
    table = pq.read_table(io.BytesIO(data))
    place = draw.randrange(table.num_columns)
    name, kind = table.column_names[place], draw.randrange(len(WILD_ARROW) + 2)
    if kind == len(WILD_ARROW):
        table = table.remove_column(place)
    elif kind > len(WILD_ARROW):
        table = table.slice(draw.randrange(table.num_rows), draw.randrange(table.num_rows))
    else:
        table = table.set_column(place, name, WILD_ARROW[kind](table.num_rows))
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return f"{number}:{name}<{kind}", sink.getvalue()


def cases_of(root: Path, targets: Sequence[Target], mutations: Mutations) -> list[Case]:
    found = []
    for seed, target in enumerate(targets):
        data = (root / target.tree / target.file).read_bytes()
        damage = wild(target, data, seed) if target.values else mutations(data, target.cases, seed)
        found += [Case(target, name, damaged) for name, damaged in damage]
    return found


def looked_at(episode: Episode) -> str:
    """Goes through every frame; what there is in one digest."""
    digest = hashlib.sha256(episode_id(episode).encode())
    for stream in episode.of_kind("image"):
        for frame in frames(stream, episode.provenance.source_uri):
            digest.update(frame)
    return digest.hexdigest()


def frames(stream: Stream, where: str) -> Iterator[bytes]:
    for index in range(len(stream)):
        yield decode_image(stream.values[index], where=where).tobytes()


def outcomes(root: Path) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """(code, place) of everything that is refused, and the digests of the episodes that are read."""
    try:
        opened = reader.open_source(root, None, where="tree")
    except FormatError as error:
        return [(error.code, error.where or "")], {}
    assert all(p.code and p.where and p.detail for p in opened.problems)
    recording = Recording(root, "tree", "lerobot", opened.dialect, "0" * 64, opened.parts, opened.mapping)
    refused, read = [], {}
    for part in opened.parts:
        try:
            reader.fields(root, part, opened.mapping, where=f"tree#{part}")
            read[part] = looked_at(reader.read_part(recording, part))
        except FormatError as error:
            refused.append((error.code, error.where or ""))
    return refused, read


def judged(root: Path, case: Case, whole: dict[str, str]) -> list[str]:
    """The codes that a case ends in. Raises `AssertionError` where it ends in anything else."""
    path = root / case.target.tree / case.target.file
    intact = path.read_bytes()
    path.write_bytes(case.data)
    try:
        refused, read = outcomes(root / case.target.tree)
    finally:
        path.write_bytes(intact)
    for code, where in refused:
        assert code in CODES, code
        assert where.startswith("tree"), where
    for index in case.target.untouched:
        part = f"episode_{index:06d}"
        assert read.get(part) == whole[part], f"{part} was not touched"
    return [code for code, _ in refused] or [READ]


def serve(root: Path, cases: Sequence[Case], first: int, whole: dict[str, dict[str, str]], pipe: int) -> None:
    """In the child: says which case comes, then what became of it; the kernel ends a case that takes too long."""
    own = root.with_name(f"{root.name}-{os.getpid()}")
    shutil.copytree(root, own)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY_LIMIT, size + MEMORY_LIMIT))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with os.fdopen(pipe, "w", buffering=1) as stream:
        for number in range(first, len(cases)):
            print(json.dumps({"number": number}), file=stream)
            signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT_S)
            try:
                said = {"codes": judged(own, cases[number], whole[cases[number].target.tree])}
            except BaseException:
                said = {"failure": traceback.format_exc()[-1500:]}
            print(json.dumps(said | {"number": number}), file=stream)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(json.dumps({"number": len(cases), "grown_kb": grown}), file=stream)
    shutil.rmtree(own)


def run(root: Path, cases: Sequence[Case]) -> tuple[dict[int, dict[str, Any]], int]:
    """What each case ended in, and by how much the memory of a child grew at most."""
    whole = {tree: outcomes(root / tree)[1] for tree in sorted({case.target.tree for case in cases})}
    assert all(whole.values())
    done: dict[int, dict[str, Any]] = {}
    first, grown = 0, 0
    while first < len(cases):
        ours, theirs = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(ours)
            try:
                serve(root, cases, first, whole, theirs)
            finally:
                os._exit(0)
        os.close(theirs)
        last = first
        with os.fdopen(ours) as stream:
            for line in stream:
                said = json.loads(line)
                last = said["number"]
                done[last] = said
                grown = max(grown, int(said.get("grown_kb", 0)))
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            done[last] = {"codes": [CRASHED], "signal": os.WTERMSIG(status)}
        first = last + 1
    return done, grown


def codes_of(root: Path, cases: Sequence[Case]) -> Counter[str]:
    """How often each code is what a case ends in; fails where one ends in anything else."""
    done, grown_kb = run(root, cases)
    assert set(range(len(cases))) <= set(done)
    wrong = [f"{cases[n].target.file} {cases[n].name}: {one['failure']}" for n, one in done.items() if "failure" in one]
    assert not wrong, "\n".join([f"{len(wrong)} cases", *wrong[:5]])
    # None of the pinned libraries ends its process; in production that would cost one episode.
    assert not [cases[n].name for n, said in done.items() if "signal" in said]
    assert grown_kb < GROWTH_LIMIT_KB
    return Counter(code for n in range(len(cases)) for code in done[n]["codes"])


def test_every_case_ends_in_an_episode_or_a_named_error(folder: Path, mutations: Mutations) -> None:
    cases = cases_of(folder, TARGETS, mutations)
    assert sum(not case.target.values for case in cases) >= 2000
    codes = codes_of(folder, cases)
    assert codes[READ] > len(cases) // 20
    assert {"bad_info", "bad_table", "bad_video", "truncated", "video_too_short", "wrong_shape"} <= set(codes)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the folder of sample recordings is not beside this repository")
def test_damaged_tables_of_others(tmp_path: Path, mutations: Mutations) -> None:
    root = tmp_path / "trees"
    for tree in sorted({target.tree for target in REAL_TARGETS}):
        shutil.copytree(SAMPLES / tree, root / tree, ignore=shutil.ignore_patterns("videos", "*stats*"))
    for path in [root, *root.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    codes = codes_of(root, cases_of(root, REAL_TARGETS, mutations))
    assert codes["bad_table"] > 50
