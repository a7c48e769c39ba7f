"""Trees and manifests that somebody else made: no name in them leads to files outside."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from beside import UNIT, helpers

from components.core.errors import DatasetError
from components.core.files import read_json, tree_manifest, write_json
from components.core.params import Video
from components.dataset import commit, layout
from components.dataset.edits.merge import merge
from components.dataset.manifest import MANIFEST, read_manifest
from components.dataset.names import require_inside
from components.dataset.reader import Dataset
from components.dataset.resume import resume

WRONG = ["/etc/hosts", "../mine", "data/../../mine", "data//x", "./x", "data/.", "data/..", "", "a\0b", 7, None]


@pytest.fixture(scope="module")
def sealing() -> ModuleType:
    return helpers(UNIT / "dataset/sealing.py")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A file of the user's, beside the tree."""
    path = tmp_path / "mine.txt"
    path.write_text("mine")
    return path


def leave_commit(root: Path, names: object, **files: str) -> None:
    """A commit that was begun, as a killed writer leaves it."""
    for name, text in files.items():
        path = root / commit.COMMITTED / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    write_json(root / commit.COMMITTED / commit.REMOVED, names)


@pytest.mark.parametrize("name", WRONG)
def test_names_that_are_none_of_a_file_inside(tmp_path: Path, name: Any) -> None:
    with pytest.raises(DatasetError, match=r"is no name of a file inside of it") as caught:
        require_inside(tmp_path, ["data/x.parquet", name])
    assert caught.value.message.startswith(repr(name))


def test_names_inside(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("a cache")
    (tmp_path / "tree/data").mkdir(parents=True)
    (tmp_path / "tree/data/x").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(tmp_path / "tree")
    for root in (tmp_path / "tree", tmp_path / "link"):
        require_inside(root, ["a", "data/x", "meta/gripline/.committed/a", "..a/b..", "data/not/there"])


def test_a_folder_that_is_a_link_to_somewhere_else(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/data").symlink_to(tmp_path)
    with pytest.raises(DatasetError, match=r"'data/chunk-000/x' lies outside of it, at .*chunk-000"):
        require_inside(tmp_path / "tree", ["a", "data/chunk-000/x"])


@pytest.mark.parametrize("form", ["absolute", "relative", "link"])
def test_a_commit_that_takes_other_files_away_is_not_completed(
    own_tree: Path, mine: Path, video: Video, form: str
) -> None:
    (own_tree / "link").symlink_to(mine.parent)
    name = {"absolute": mine.as_posix(), "relative": f"../{mine.name}", "link": f"link/{mine.name}"}[form]
    leave_commit(own_tree, ["meta/nothing", name], notes__a="new")
    before = tree_manifest(own_tree)
    for write in (commit.recover, lambda root: resume(root, video)):
        with pytest.raises(DatasetError, match=mine.name):
            write(own_tree)
    assert mine.read_text() == "mine"
    assert tree_manifest(own_tree) == before


def test_a_commit_that_writes_through_a_link_is_not_completed(own_tree: Path, mine: Path) -> None:
    (own_tree / "notes").symlink_to(mine.parent)
    leave_commit(own_tree, [], **{f"notes__{mine.name}": "theirs"})
    with pytest.raises(DatasetError, match=f"notes/{mine.name}' lies outside"):
        commit.recover(own_tree)
    assert mine.read_text() == "mine"


def test_a_commit_that_lies_elsewhere_is_not_completed(own_tree: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/a").write_text("mine")
    (own_tree / commit.COMMITTED).symlink_to(tmp_path / "theirs")
    with pytest.raises(DatasetError, match="lies outside of it"):
        commit.recover(own_tree)
    assert (tmp_path / "theirs/a").read_text() == "mine"


@pytest.mark.parametrize(("names", "message"), [({"a": 1}, "holds a dict, expected a list"), ([1], "1 is no name")])
def test_a_list_of_removed_files_is_one(own_tree: Path, names: object, message: str) -> None:
    leave_commit(own_tree, names)
    with pytest.raises(DatasetError, match=message):
        commit.recover(own_tree)


def test_no_commit_is_staged_that_takes_other_files_away(own_tree: Path) -> None:
    with pytest.raises(DatasetError, match=r"'meta/gripline/calibrations/\.\./\.\./x' is no name"):
        commit.stage_removal(own_tree, ["meta/gripline/calibrations/../../x"])
    assert not (own_tree / commit.STAGED).exists()


@pytest.mark.parametrize("name", ["/etc/hosts", "meta/episodes/../../../mine.txt"])
def test_a_tree_that_lists_other_files_is_not_opened(own_tree: Path, sealing: ModuleType, name: str) -> None:
    write_json(own_tree / layout.OWN_FILES, read_json(own_tree / layout.OWN_FILES) | {name: "0" * 64})
    sealing.seal_listed(own_tree)
    with pytest.raises(DatasetError, match=f"{name!r} is no name of a file inside of it"):
        Dataset.open(own_tree)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: value["files"].update({"../mine.txt": "0" * 64}), r"'\.\./mine.txt' is no name of a file"),
        (lambda value: value["files"].update({"/etc/hosts": "0" * 64}), "'/etc/hosts' is no name of a file"),
        (lambda value: value.update(files=["a"]), r"not a manifest: files is \['a'\]"),
        (lambda value: value["members"][0].update(name="../../tree"), r"'\.\./\.\./tree' cannot name a member"),
        (lambda value: value["members"][0].update(name="/tree"), "'/tree' cannot name a member"),
        (lambda value: value["members"][0].update(name=3), "3 cannot name a member"),
    ],
)
def test_a_manifest_that_names_other_files_is_not_read(
    tree: Path, tmp_path: Path, sealing: ModuleType, change: Callable[[Any], None], message: str
) -> None:
    merge([tree], tmp_path / "all")
    sealing.edit_json(tmp_path / "all" / MANIFEST, change)
    with pytest.raises(DatasetError, match=message):
        read_manifest(tmp_path / "all")


def test_a_member_whose_folder_is_a_link_is_not_read(tree: Path, tmp_path: Path) -> None:
    merge([tree], tmp_path / "all")
    shutil.move(tmp_path / "all/members/tree", tmp_path / "theirs")
    (tmp_path / "all/members/tree").symlink_to(tmp_path / "theirs")
    with pytest.raises(DatasetError, match=r"lies outside of it, at .*theirs"):
        read_manifest(tmp_path / "all")
