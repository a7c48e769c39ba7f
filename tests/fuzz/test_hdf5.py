"""Damaged HDF5 files of every dialect: each ends in good episodes or in errors with a code and a place.

The HDF5 library may crash or spin on damaged files, so cases run in child processes with limits of memory and CPU time:
a child that dies costs its case, and a new one goes on, as in production.
"""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
from beside import UNIT, helpers

from components.core.episode import PICTURES, Episode, episode_id
from components.core.errors import FormatError
from components.formats.discover import find
from components.formats.images import decode_depth, decode_image
from components.formats.registry import fields, open_recording, read_part
from components.formats.source import Found

CASES = 260
SEED = 20_260_101
# What a child may use beyond what it starts with, and CPU seconds for one case.
MEMORY_BYTES = 1 << 30
CASE_CPU_S = 4
CODES = {
    # Of a source.
    "truncated",
    "bad_superblock",
    "bad_group",
    "bad_heap",
    "no_episodes",
    # Of an episode or something in it.
    "bad_episode",
    "bad_dataset",
    "bad_attribute",
    "bad_instruction",
    "bad_metadata",
    "bad_time",
    "bad_image",
    "bad_video",
    "external_data",
    "length_mismatch",
    "missing_filter",
    "missing_stream",
    "too_large",
    "wrong_shape",
    "wrong_type",
    "wrong_value",
    # What is said of a file that lost its signature.
    "empty",
    "unknown_format",
}
CRASHED = "reader_crashed"
DIALECTS = (
    "own",
    "robomimic",
    "robomimic_latest",
    "libero",
    "aloha",
    "aloha_compressed",
    "droid",
    "droid_video",
    "robosuite",
    "robosuite_0.1",
)
Mutations = Callable[[bytes, int, int], Iterator[tuple[str, bytes]]]


@dataclass(frozen=True)
class Target:
    """`path`: the source; `damaged`: the file of it that is changed, the same unless the source is a folder."""

    path: Path
    damaged: Path


def target_of(dialect: str, folder: Path, *, demos: int = 2) -> Target:
    """A small valid source of a dialect, written to the original layout."""
    layouts = helpers(UNIT / "formats/hdf5/layouts.py")
    if dialect.startswith("droid"):
        source = layouts.write_droid(folder / "droid", 4, cameras=1)
        video = source / "recordings" / "MP4" / f"{layouts.SERIALS[0]}.mp4"
        return Target(source, video if dialect == "droid_video" else source / "trajectory.h5")
    path, steps = folder / "a.hdf5", tuple(range(4, 4 + demos))
    if dialect == "own":
        recordings = helpers(UNIT / "formats/recordings.py")
        recordings.write_hdf5(path, [recordings.make_demo(seed, steps=4, image_px=16) for seed in range(demos)])
    elif dialect.startswith("aloha"):
        layouts.write_aloha(path, 4, compress=dialect == "aloha_compressed")
    elif dialect.startswith("robosuite"):
        layouts.write_robosuite(path, steps, generation="0.1" if dialect.endswith("0.1") else "1.0")
    elif dialect.startswith("robomimic"):
        # The latest version of the format has checksums and other tables of chunks, links and attributes.
        libver = "latest" if dialect.endswith("latest") else "earliest"
        layouts.write_robomimic(path, steps, compression="gzip", libver=libver)
    else:
        layouts.write_libero(path, steps)
    return Target(path, path)


def look(path: Path) -> list[tuple[str, str]]:
    """("good", id) of each episode that is read to its last pixel, (code, place) of each error."""
    outcomes: list[tuple[str, str]] = []
    for found in find(path):
        if not isinstance(found, Found):
            outcomes.append((found.code, found.where or ""))
            continue
        try:
            recording = open_recording(found, sha256="0" * 64)
        except FormatError as error:
            outcomes.append((error.code, error.where or ""))
            continue
        for part in recording.parts:
            try:
                fields(recording, part)
                outcomes.append(("good", exhaust(read_part(recording, part))))
            except FormatError as error:
                outcomes.append((error.code, error.where or ""))
    return outcomes


def exhaust(episode: Episode) -> str:
    """The id of an episode whose every number and frame was looked at."""
    where = episode.provenance.source_uri
    for stream in episode.streams.values():
        assert stream.time_ns.dtype == np.int64
        if stream.kind not in PICTURES:
            assert np.asarray(stream.values).dtype == np.float64
            assert np.asarray(stream.values).ndim == 2
            continue
        decode = decode_depth if stream.kind == "depth" else decode_image
        for frame in stream.values:
            shape = decode(frame, where=where).shape  # type: ignore[arg-type]
            assert len(shape) == (2 if stream.kind == "depth" else 3)
    return episode_id(episode)


def run_cases(target: Target, cases: list[tuple[str, bytes]], folder: Path) -> tuple[list[list[tuple[str, str]]], int]:
    """Outcomes of every case, and the largest resident size of a child in bytes."""
    outcomes: list[list[tuple[str, str]]] = []
    largest = 0
    while len(outcomes) < len(cases):
        report = folder / "report"
        report.write_text("")
        child = os.fork()
        if not child:
            os._exit(_serve(target, cases[len(outcomes) :], report))
        _, status = os.waitpid(child, 0)
        *lines, last = report.read_text().split("\n")
        for line in lines:
            resident, *rest = line.split("\t")
            largest = max(largest, int(resident))
            outcomes.append([(pair.split("=", 1)[0], pair.split("=", 1)[1]) for pair in rest])
        if os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name
            outcomes.append([(CRASHED, f"{name} at {cases[len(outcomes)][0]}")])
        else:
            # An exception of any other kind ends the child, and the test with its words.
            assert os.WEXITSTATUS(status) == 0, f"{cases[len(outcomes)][0]}: {last}"
    return outcomes, largest


def _serve(target: Target, cases: list[tuple[str, bytes]], report: Path) -> int:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.disable()
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY_BYTES, resource.RLIM_INFINITY))
    with report.open("a", buffering=1) as out:
        for _, damaged in cases:
            usage = resource.getrusage(resource.RUSAGE_SELF)
            limit = int(usage.ru_utime + usage.ru_stime) + 1 + CASE_CPU_S
            resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
            target.damaged.write_bytes(damaged)
            try:
                found = look(target.path)
            except BaseException as error:
                out.write(f"{type(error).__name__}: {error}".replace("\n", " "))
                return 1
            resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            words = [f"{code}={' '.join(place.split())}" for code, place in found]
            out.write("\t".join([str(resident), *words]) + "\n")
    return 0


@pytest.mark.parametrize("dialect", DIALECTS)
def test_damaged_files_end_in_episodes_or_in_errors_with_code_and_place(
    dialect: str, tmp_path: Path, mutations: Mutations
) -> None:
    target = target_of(dialect, tmp_path)
    whole = target.damaged.read_bytes()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    (pristine,), _ = run_cases(target, [("whole", whole)], tmp_path)
    assert {code for code, _ in pristine} == {"good"}
    cases = list(mutations(whole, CASES, SEED))
    outcomes, largest = run_cases(target, cases, tmp_path)
    assert len(outcomes) == CASES
    table = Counter(code for outcome in outcomes for code, _ in outcome)
    assert not table[CRASHED], [place for outcome in outcomes for code, place in outcome if code == CRASHED]
    assert set(table) <= {*CODES, "good"}, table
    assert all(outcome and all(place for _, place in outcome) for outcome in outcomes)
    assert largest - before < MEMORY_BYTES // 2
    # Neither all refused nor all waved through: the cases reach what they are meant for.
    assert 0 < table["good"] < sum(table.values())


@pytest.mark.parametrize("dialect", ["own", "robomimic", "robomimic_latest", "libero", "robosuite", "robosuite_0.1"])
@pytest.mark.parametrize("hit", [0, 2])
def test_the_neighbours_of_a_damaged_demo_are_read_as_if_nothing_had_happened(
    dialect: str, hit: int, tmp_path: Path
) -> None:
    """The header of a demo, those of its datasets, and its samples where they are in chunks, each in turn."""
    target = target_of(dialect, tmp_path, demos=3)
    whole = target.damaged.read_bytes()
    (pristine,), _ = run_cases(target, [("whole", whole)], tmp_path)
    cases = [
        (f"at {place}", whole[:place] + damage + whole[place + len(damage) :])
        for place in own_bytes(target.path, hit)
        for damage in (b"\xff", b"\xff" * 8, bytes(8), bytes(16))
    ]
    outcomes, _ = run_cases(target, cases, tmp_path)
    for neighbour in {0, 1, 2} - {hit}:
        assert {outcome[neighbour] for outcome in outcomes} == {pristine[neighbour]}
    # And the damage was real: most cases cost the demo that they hit, or change it.
    lost = [outcome[hit][0] for outcome in outcomes if outcome[hit] != pristine[hit]]
    assert len(lost) > len(cases) // 2
    assert set(lost) & {"bad_dataset", "bad_group"}


def own_bytes(path: Path, number: int) -> list[int]:
    """Places in a demo: of the headers of its group and datasets, and of the stored samples."""
    places: list[int] = []

    def visit(name: str, node: h5py.Group | h5py.Dataset) -> None:
        info = h5py.h5o.get_info(node.id)
        places.append(int(info.addr))
        if isinstance(node, h5py.Dataset) and node.chunks and node.size:
            places.append(int(node.id.get_chunk_info(0).byte_offset))

    with h5py.File(path) as file:
        demo = file["data"][sorted(file["data"])[number]]
        visit("", demo)
        demo.visititems(visit)
    return places


def test_a_library_that_crashes_costs_its_case_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the other tests rely on: the death of a child is noted as one, and the next case is run."""
    target = target_of("aloha", tmp_path)
    whole = target.damaged.read_bytes()
    killed = {b"crash": signal.SIGSEGV, b"spin": signal.SIGXCPU}
    real = look

    def dying(path: Path) -> list[tuple[str, str]]:
        name = path.read_bytes()[-5:].lstrip(b"-")
        if name in killed:
            os.kill(os.getpid(), killed[name])
        return real(path)

    monkeypatch.setitem(globals(), "look", dying)
    cases = [("one", whole), ("two", b"-" * 3 + b"crash"), ("three", b"-spin"), ("four", whole)]
    outcomes, _ = run_cases(target, cases, tmp_path)
    assert [outcome[0][0] for outcome in outcomes] == ["good", CRASHED, CRASHED, "good"]
    assert outcomes[1][0][1] == "SIGSEGV at two"
