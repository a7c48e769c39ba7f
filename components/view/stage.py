"""The stage `card`: dataset and verdicts -> data/dataset-card."""

from __future__ import annotations

from components.core.files import replace_dir
from components.core.params import Params
from components.core.workspace import Workspace, beside
from components.dataset.parts import parts_of
from components.view.card import write_card


def run(workspace: Workspace, params: Params) -> None:
    """Writes the card of the workspace's dataset anew."""
    with replace_dir(beside(workspace.dataset, "card")) as folder:
        parts = parts_of(workspace.dataset)
        write_card(parts, folder, name=workspace.dataset.name, verdicts=workspace.checks / "verdicts.parquet")
