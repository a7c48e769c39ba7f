from __future__ import annotations

from pathlib import Path

import pytest

from components.core.errors import UsageError
from components.formats.mapping import (
    Mapping,
    StreamRule,
    built_in_mappings,
    fitting_mapping,
    given_mapping,
    load_mappings,
    short_name,
)

YAML = """
match: "night/*"
format: [mcap]
clock: log
instruction: /task
episode: {by: marker, topic: /marker, start: [go], stop: [done]}
constants: {robot_id: r1}
streams:
  action: {from: /action, kind: action, select: [position], gripper: [1, 0]}
  top: {from: /camera, kind: image, order: bgr}
"""


def load(tmp_path: Path, text: str) -> tuple[Mapping, ...]:
    (tmp_path / "mine.yaml").write_text(text)
    return load_mappings(tmp_path / "mine.yaml")


def test_a_mapping_is_read_and_written_as_yaml(tmp_path: Path) -> None:
    (mapping,) = load(tmp_path, YAML)
    assert (mapping.name, mapping.clock, mapping.episode.start) == ("mine", "log", ("go",))
    assert mapping.streams["action"].gripper == (1.0, 0.0)
    assert mapping.sources == ("/action", "/camera")
    assert load(tmp_path, mapping.as_yaml()) == (mapping,)


def test_a_file_may_hold_several(tmp_path: Path) -> None:
    found = load(tmp_path, "mappings:\n- {name: a, streams: {}}\n- {match: '*.h5', streams: {}}\n")
    assert [(mapping.name, mapping.match) for mapping in found] == [("a", "*"), ("mine", "*.h5")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("streams: {a: {from: /x, kind: smell}}", "streams.a.kind: Input should be"),
        ("streams: {a: {kind: state}}", "streams.a.from: Field required"),
        ("streams: {}\nclok: log", "clok: Extra inputs are not permitted"),
        ("streams: {}\nrate_hz: 0", "rate_hz: Input should be greater than 0"),
        ("streams: {}\nconstants: {robot: r1}", "constants: unknown robot"),
        ("streams: {}\nepisode: {by: gap, gap_s: -1}", "episode.gap_s"),
        ("[]", "Input should be a valid dictionary"),
        ("mappings: 3", "mappings: expected a list"),
        ("{", "cannot be read as YAML"),
    ],
)
def test_wrong_keys_are_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load(tmp_path, text)


def test_no_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load_mappings(tmp_path / "nowhere.yaml")


def test_the_first_own_mapping_that_speaks_for_a_source_rules() -> None:
    night = Mapping(name="night", match="night/*", format=("mcap",), streams={})
    rest = Mapping(name="rest", streams={})
    assert given_mapping((night, rest), "night/a.mcap", "mcap") is night
    assert given_mapping((night, rest), "night/a.h5", "hdf5") is rest
    assert given_mapping((night, rest), "day/a.mcap", "mcap") is rest
    assert given_mapping((night,), "day/a.mcap", "mcap") is None


def test_a_built_in_mapping_fits_where_half_of_its_sources_are_there() -> None:
    (cell,) = [mapping for mapping in built_in_mappings() if mapping.name == "sawyer-cell-hdf5"]
    sources = cell.sources
    assert fitting_mapping(sources, "hdf5") == cell
    assert fitting_mapping(sources[: (len(sources) + 1) // 2], "hdf5") == cell
    assert fitting_mapping(sources[:1], "hdf5") != cell
    assert fitting_mapping(sources, "mcap") != cell
    assert fitting_mapping((), "rlds") is None


def test_built_in_mappings_say_what_they_are_for() -> None:
    for mapping in built_in_mappings():
        assert mapping.format, mapping.name
        assert mapping.streams, mapping.name
        assert any(rule.kind == "action" for rule in mapping.streams.values()), mapping.name


@pytest.mark.parametrize(
    ("source", "taken", "name"),
    [
        ("/camera/left/image_raw/compressed", (), "camera_left"),
        ("observation/image_0", (), "image_0"),
        ("observation.images.cam_high", (), "cam_high"),
        ("obs/robot0_eef_pos", (), "robot0_eef_pos"),
        ("/joint-states", ("joint_states",), "joint_states_2"),
        ("/a", ("a", "a_2"), "a_3"),
        ("steps", (), "steps"),
        ("/", (), "stream"),
    ],
)
def test_streams_get_short_names(source: str, taken: tuple[str, ...], name: str) -> None:
    assert short_name(source, taken) == name


def test_rules_can_be_made_by_either_name() -> None:
    assert StreamRule(source="/a", kind="state") == StreamRule.model_validate({"from": "/a", "kind": "state"})
