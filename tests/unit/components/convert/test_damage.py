"""A conversion that is killed leaves nothing; damaged files end in errors with a code, or in what they held before."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import mutate
import numpy as np
import pytest

from components.convert.convert import FORMATS, convert
from components.core.episode import PICTURES
from components.core.errors import FormatError
from components.dataset.parts import parts_of
from components.formats.discover import find
from components.formats.registry import open_recording, read, read_part
from components.formats.source import Found

CASES = 70
SEED = 20_261_121
# Ends itself as the second episode is about to be written.
KILLED = """
import os, signal, sys
from importlib import import_module
from pathlib import Path
from components.convert.convert import convert
from components.dataset.parts import parts_of

writer = import_module(f"components.convert.{sys.argv[3]}_files")
whole, calls = writer.outgoing, []

def outgoing(*given):
    calls.append(given)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*given)

writer.outgoing = outgoing
convert(parts_of(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3])
"""


@pytest.mark.kill
@pytest.mark.parametrize("to", FORMATS)
def test_a_killed_conversion_leaves_no_folder_and_the_next_one_clears_up(tree: Path, tmp_path: Path, to: str) -> None:
    out = tmp_path / "out"
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tree), str(out), to], check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    left = list(tmp_path.iterdir())
    assert len(left) == 1
    assert left[0].name.startswith(".out.partial-")
    assert convert(parts_of(tree), out, to).episodes == 3
    assert list(tmp_path.iterdir()) == [out]


# HDF5's library may crash on damaged files; those are tried in child processes, in tests/fuzz.
@pytest.mark.parametrize("to", ["rlds", "mcap"])
def test_no_damaged_file_passes_other_numbers_off_as_an_episode(
    converted: dict[str, Path], tmp_path: Path, to: str
) -> None:
    whole = {episode.carried_id: episode for episode in read(converted[to])}
    source = min(path for path in converted[to].rglob("*") if path.is_file() and path.suffix != ".json")
    for side in source.parent.glob("*.json"):
        (tmp_path / side.name).write_bytes(side.read_bytes())
    path = tmp_path / source.name
    outcomes = set()
    for _, damaged in mutate.mutations(source.read_bytes(), CASES, SEED):
        path.write_bytes(damaged)
        for found in find(path):
            if not isinstance(found, Found):
                outcomes.add(found.code)
                continue
            try:
                recording = open_recording(found)
                episodes = [read_part(recording, part) for part in recording.parts]
            except FormatError as error:
                outcomes.add(error.code)
                continue
            for episode in episodes:
                outcomes.add("kept" if episode.carried_id else "another")
                for stream in episode.streams.values() if episode.carried_id else ():
                    expected = whole[episode.carried_id].streams[stream.name]
                    np.testing.assert_array_equal(stream.time_ns, expected.time_ns)
                    if stream.kind not in PICTURES:
                        np.testing.assert_array_equal(stream.values, expected.values)
    assert {"truncated", "bad_crc"} <= outcomes
