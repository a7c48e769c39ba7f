"""Recordings that other people's programs wrote: each is read, or refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.core.errors import FormatError
from components.formats import mcap
from components.formats.inspect import inspect_path
from components.formats.registry import open_recording, read_part

SAMPLES = Path(__file__).resolve().parents[5] / "shared" / "data"
FILES = [
    path
    for folder in ("mcap", "hdf5", "bad")
    for path in sorted((SAMPLES / folder).rglob("*"))
    if path.is_file() and path.name != "metadata.yaml"
]
needs_samples = pytest.mark.skipif(not FILES, reason="the folder of sample recordings is not beside this repository")

CODES = {"missing_stream", "no_episodes", "unknown_format", "lfs_pointer"}


def refusals(path: Path) -> list[tuple[str, str | None]]:
    """(code, place) of everything that is refused; an error of another kind is not caught."""
    try:
        recording = open_recording(path, uri=path.name)
    except FormatError as error:
        return [(error.code, error.where)]
    found = []
    for part in recording.parts:
        try:
            read_part(recording, part)
        except FormatError as error:
            found.append((error.code, error.where))
    return found


@needs_samples
def test_every_sample_is_refused_with_a_code_and_its_place() -> None:
    for path in FILES:
        found = refusals(path)
        assert found, path
        assert {code for code, _ in found} <= CODES, path
        assert all((where or "").split("#")[0] == path.name for _, where in found), path


@needs_samples
def test_every_sample_can_be_inspected() -> None:
    for path in FILES:
        report = inspect_path(path)
        assert report["problems"], path
        if report["format"] == "hdf5" and report["dialect"]:
            assert report["streams"], path


@needs_samples
def test_all_conformance_files_are_read_to_their_end() -> None:
    cases = sorted((SAMPLES / "mcap" / "conformance").glob("*.mcap"))
    for path in cases:
        messages = sum(len(topic.log_time_ns) for topic in mcap.scan(path, where=path.name).topics.values())
        expected = {"One": 1, "Ten": 10}.get(path.name[:3], 0) if "Message" in path.name else 0
        assert messages == expected, path.name


@needs_samples
def test_robosuite_files_are_refused_for_want_of_a_clock() -> None:
    report = inspect_path(SAMPLES / "hdf5" / "lift_panda_demo.hdf5")
    assert report["dialect"] == "robosuite"
    assert report["problems"] == [
        {
            "code": "missing_stream",
            "where": "lift_panda_demo.hdf5#demo_1",
            "detail": "no dataset 'time' with the sensor time; there are actions, joint_torques, states",
        }
    ]


@needs_samples
def test_truncated_samples_are_called_truncated(tmp_path: Path) -> None:
    for source in (SAMPLES / "mcap/rosbag2_py/talker/talker.mcap", SAMPLES / "hdf5/lift_panda_demo.hdf5"):
        path = tmp_path / source.name
        path.write_bytes(source.read_bytes()[: source.stat().st_size * 2 // 3])
        report = inspect_path(path)
        assert [p["code"] for p in report["problems"]] == ["truncated"]
