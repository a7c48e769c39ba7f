from __future__ import annotations

from pathlib import Path

import pytest

from components.core.errors import UsageError
from components.dataset.outside import require_place


def test_a_folder_that_is_there_or_not_yet_is_a_place(tmp_path: Path) -> None:
    require_place(tmp_path)
    require_place(tmp_path / "new" / "deeper")


@pytest.mark.parametrize("name", ["notes", "notes/deeper", "link"])
def test_a_file_is_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes").write_text("mine")
    (tmp_path / "link").symlink_to("notes")
    with pytest.raises(
        UsageError, match=r"(notes|link): is a file, a folder is needed. Name another folder with --out"
    ):
        require_place(tmp_path / name)


def test_a_link_that_leads_nowhere_is_none(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("gone")
    with pytest.raises(UsageError, match="link: a link that leads nowhere"):
        require_place(tmp_path / "link" / "deeper")


@pytest.mark.parametrize("name", ["", "card", "meta/gripline/card"])
def test_what_lies_in_a_dataset_is_none(tree: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"lies in the dataset .*Name a folder outside of it"):
        require_place(tree / name)
    # Neither is another way there.
    (tmp_path / "link").symlink_to(tree)
    with pytest.raises(UsageError, match="lies in the dataset"):
        require_place(tmp_path / "link" / name)


def test_beside_a_dataset_is_a_place(tree: Path) -> None:
    require_place(tree.parent / f"{tree.name}-card")
