from __future__ import annotations

from pathlib import Path

import pytest

from components.core.errors import InputError, UsageError
from components.formats.cut_lists import read_cut_list
from components.formats.mapping import Mapping
from components.formats.source import Found
from components.ingest.sources import find_all, keyed

ANY = Mapping.model_validate({"match": "*1.mcap", "streams": {"s": {"from": "/s", "kind": "state"}}})


def key(path: Path, uri: str = "", format_: str = "mcap", mappings: tuple[Mapping, ...] = (), cuts: str = "") -> str:
    listed = None
    if cuts:
        (path.parent.parent / "list.csv").write_text(f"source,start_s,end_s\n{cuts}\n")
        listed = read_cut_list(path.parent.parent / "list.csv")
    (source,) = keyed([Found(path, uri or path.name, format_)], mappings, listed, cache=None, threads=1)
    return source.key


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    path = tmp_path / "raw/1.mcap"
    path.write_bytes(b"one")
    return path


def test_sources_are_told_apart_by_the_names_of_their_folders(raw: Path, tmp_path: Path) -> None:
    found, _ = find_all([raw / "south", raw / "north", raw / "north/0.mcap"], tmp_path / "out")
    assert [one.uri for one in found] == ["0.mcap", "north/0.mcap", "north/1.mcap", "south/a.hdf5"]
    with pytest.raises(UsageError, match=r"would both be called 'north/0\.mcap'"):
        find_all([raw / "north", raw / "north"], tmp_path / "out")


def test_what_cannot_be_read_is_named(raw: Path, tmp_path: Path) -> None:
    (raw / "north/empty.mcap").touch()
    (raw / "north/old.bag").write_bytes(b"#ROSBAG V2.0\n")
    found, broken = find_all([raw], tmp_path / "out")
    assert len(found) == 3
    assert [(one.source, one.code) for one in broken] == [
        ("north/empty.mcap", "empty"),
        ("north/old.bag", "ros1_bag"),
    ]


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    with pytest.raises(InputError, match="no recording"):
        find_all([tmp_path / "raw"], tmp_path / "out")
    with pytest.raises(InputError, match="no such file or folder"):
        find_all([tmp_path / "absent"], tmp_path / "out")


def test_a_key_is_the_hash_of_the_bytes_where_nothing_else_is_said(file: Path) -> None:
    (source,) = keyed([Found(file, "1.mcap", "mcap")], (), None, cache=None, threads=1)
    assert source.key == source.sha256
    other = ANY.model_copy(update={"match": "*2.mcap"})
    assert key(file, mappings=(other,), cuts="2.mcap,0,1") == source.sha256


def test_a_key_changes_with_whatever_decides_what_is_read(file: Path) -> None:
    keys = {key(file), key(file, mappings=(ANY,)), key(file, cuts="1.mcap,0,1"), key(file, cuts="1.mcap,0,2")}
    assert len(keys) == 4
    for name, text in (("1.cuts.csv", "start_s,end_s\n0,3\n"), ("1.mcap.cuts.csv", "start_s\nnonsense\n")):
        (file.parent / name).write_text(text)
        keys.add(key(file))
    assert len(keys) == 6
    file.write_bytes(b"two")
    keys.add(key(file))
    assert len(keys) == 7


def test_a_description_beside_a_tfrecord_belongs_to_it(file: Path) -> None:
    bare = key(file, format_="rlds")
    (file.parent / "features.json").write_text("{}")
    described = key(file, format_="rlds")
    assert described != bare
    assert key(file, format_="mcap") == bare
