"""Files that robosuite and h5py themselves wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.core.episode import Episode
from components.core.errors import FormatError
from components.formats.hdf5 import reader
from components.formats.mapping import Mapping, StreamRule

SAMPLES = Path(__file__).resolve().parents[6] / "shared" / "data" / "hdf5"
needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="the folder of sample recordings is not beside this repository"
)
Read = Callable[..., Episode]

PANDA = {"action": 7, "joint_torques": 7}
SAWYER = {"gripper_actuations": 1, "joint_velocities": 7, "right_dpos": 3, "right_dquat": 4}


@needs_samples
@pytest.mark.parametrize(
    ("name", "steps", "streams", "first_ns", "rate_hz", "recorded_at"),
    [
        ("SawyerLift_demo.hdf5", {"demo_1": 1058, "demo_2": 837}, SAWYER | {"states": 34}, 10_000_000, 100.0, "2018"),
        ("door_panda_demo.hdf5", {"demo_1": 261}, PANDA | {"states": 23}, 52_000_000, 20.0, "2020"),
        ("lift_panda_demo.hdf5", {"demo_1": 412}, PANDA | {"states": 32}, 52_000_000, 20.0, "2020"),
        ("stack_panda_demo.hdf5", {"demo_1": 532}, PANDA | {"states": 45}, 52_000_000, 20.0, "2020"),
    ],
)
def test_robosuite_files_are_read_whole(
    read: Read,
    name: str,
    steps: dict[str, int],
    streams: dict[str, int],
    first_ns: int,
    rate_hz: float,
    recorded_at: str,
) -> None:
    opened = reader.open_source(SAMPLES / name, None, where=name)
    assert (opened.dialect, opened.parts, opened.problems) == ("robosuite", tuple(steps), ())
    for part, count in steps.items():
        episode = read(SAMPLES / name, part)
        widths = {name: np.shape(stream.values)[1] for name, stream in episode.streams.items()}
        assert widths == streams
        assert {len(stream) for stream in episode.streams.values()} == {count}
        assert episode.streams["states"].time_ns[0] == first_ns
        assert episode.provenance.recorded_at.startswith(recorded_at)
    assert read(SAMPLES / name, "demo_1").rate_hz == pytest.approx(rate_hz)


@needs_samples
def test_an_arm_that_is_not_there_is_a_field_and_no_stream() -> None:
    path = SAMPLES / "SawyerLift_demo.hdf5"
    mapping = reader.open_source(path, None, where=path.name).mapping
    fields = {field.name: field for field in reader.fields(path, "demo_1", mapping, where=f"{path.name}#demo_1")}
    assert (fields["left_dpos"].shape, fields["left_dpos"].count, fields["left_dpos"].stream) == ((0,), 1058, "")


@needs_samples
@pytest.mark.parametrize(
    ("name", "said"), [("compound-dtype-complex.h5", "<c8, <c16, >c8, >c16, c8, c16"), ("vlen_string_dset.h5", "DS1")]
)
def test_files_without_episodes_are_refused_and_say_what_they_hold(name: str, said: str) -> None:
    with pytest.raises(FormatError, match=f"at its top there are {said}") as caught:
        reader.open_source(SAMPLES / "dtype_edges" / name, None, where=name)
    assert (caught.value.code, caught.value.where) == ("no_episodes", name)


@needs_samples
@pytest.mark.parametrize(
    ("name", "source", "type_"),
    [("compound-dtype-complex.h5", ">c16", "complex128"), ("vlen_string_dset.h5", "DS1", "strings")],
)
def test_types_that_are_no_numbers_are_described_and_refused(read: Read, name: str, source: str, type_: str) -> None:
    path = SAMPLES / "dtype_edges" / name
    own = Mapping(name="own", streams={"x": StreamRule(source=source, kind="state")})
    field = next(one for one in reader.fields(path, "", own, where=name) if one.name == source)
    assert (field.stream, bool(field.problem) or type_ == "strings") == ("x", True)
    with pytest.raises(FormatError, match="expected numbers") as caught:
        read(path, "", own)
    assert caught.value.code == "wrong_type"


@needs_samples
def test_two_thirds_of_a_file_are_truncated(tmp_path: Path) -> None:
    whole = (SAMPLES / "lift_panda_demo.hdf5").read_bytes()
    path = tmp_path / "a.hdf5"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(FormatError, match="ends too early") as caught:
        reader.open_source(path, None, where=path.name)
    assert caught.value.code == "truncated"
