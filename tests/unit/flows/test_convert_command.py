"""`gripline convert`: what it prints, and what its exit code is."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest
import typer
from beside import UNIT, helpers

from components.core.errors import DatasetError, UsageError
from components.core.stage import exit_code_of
from flows.commands import convert as command


@pytest.fixture(scope="module")
def trees() -> ModuleType:
    """The helpers that write a small dataset."""
    return helpers(UNIT / "convert/conftest.py")


@pytest.fixture
def tree(trees: ModuleType, tmp_path: Path) -> Path:
    return Path(trees.write_tree(tmp_path / "tree", [trees.make_episode(seed) for seed in range(2)]))


def run(*arguments: object) -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    command.add_to(app)
    app(["convert", *map(str, arguments)], standalone_mode=False)


def test_what_it_says(tree: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(tree, "--to", "rlds", "--out", tmp_path / "out", "--json")
    found = json.loads(capfd.readouterr().out)
    assert (found["episodes"], found["frames"], found["files"], found["format"]) == (2, 16, 4, "rlds")
    assert found["bytes"] == sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert any("meta/gripline/streams" in what for what in found["left_out"])
    run(tree, "--to", "mcap", "--out", tmp_path / "mcap", "--episode", "111111", "--pictures", "jpeg")
    said = capfd.readouterr().out
    assert said.startswith("1 episodes, 9 frames in 1 files of mcap")
    assert "(pictures: jpeg)" in said
    assert "left out: meta/stats.json" in said


def test_a_manifest_stands_for_its_members(tree: Path, trees: ModuleType, tmp_path: Path) -> None:
    from components.dataset.edits.merge import merge
    from components.formats.registry import read

    trees.write_tree(tmp_path / "south", [trees.make_episode(5)])
    merge([tree, tmp_path / "south"], tmp_path / "both")
    run(tmp_path / "both", "--to", "hdf5", "--out", tmp_path / "out")
    assert sorted(episode.carried_id[0] for episode in read(tmp_path / "out")) == ["0", "1", "5"]


def test_what_it_refuses(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no episode 'eeeeee'") as found:
        run(tree, "--to", "hdf5", "--out", tmp_path / "out", "--episode", "eeeeee")
    assert exit_code_of(found.value) == 3
    with pytest.raises(UsageError, match="Leave out --pictures") as given:
        run(tree, "--to", "hdf5", "--out", tmp_path / "out", "--pictures", "jpeg")
    assert exit_code_of(given.value) == 2
    assert not (tmp_path / "out").exists()
