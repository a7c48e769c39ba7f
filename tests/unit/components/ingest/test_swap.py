from __future__ import annotations

from pathlib import Path

import pytest

from components.ingest import swap as module
from components.ingest.swap import restore, swap


def folder(path: Path, word: str) -> Path:
    path.mkdir()
    (path / "word").write_text(word)
    return path


@pytest.fixture(params=[True, False], ids=["exchange", "two steps"])
def exchange(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if not request.param:
        monkeypatch.setattr(module, "_exchange", lambda one, other: False)
    return bool(request.param)


@pytest.mark.usefixtures("exchange")
@pytest.mark.parametrize("there", [True, False])
def test_the_new_folder_takes_the_place(tmp_path: Path, there: bool) -> None:
    if there:
        folder(tmp_path / "target", "old")
    swap(folder(tmp_path / ".new", "new"), tmp_path / "target")
    assert (tmp_path / "target/word").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_the_kernel_does_it_in_one_step(tmp_path: Path) -> None:
    one, other = folder(tmp_path / "one", "1"), folder(tmp_path / "other", "2")
    assert module._exchange(one, other)
    assert ((one / "word").read_text(), (other / "word").read_text()) == ("2", "1")
    assert not module._exchange(one, tmp_path / "absent")


def test_a_swap_killed_halfway_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_exchange", lambda one, other: False)
    new, target = folder(tmp_path / ".new", "new"), folder(tmp_path / "target", "old")
    healthy, calls = Path.replace, []

    def dying(self: Path, other: Path) -> Path:
        calls.append(self)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return healthy(self, other)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", dying)
        with pytest.raises(KeyboardInterrupt):
            swap(new, target)
    assert not target.exists()
    restore(target)
    assert (target / "word").read_text() == "old"
    restore(target)
    assert (target / "word").read_text() == "old"


def test_what_a_swap_killed_at_its_end_left_is_removed(tmp_path: Path) -> None:
    target = folder(tmp_path / "target", "new")
    folder(module._aside(target), "old")
    restore(target)
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert (target / "word").read_text() == "new"
