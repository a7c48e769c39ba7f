"""The questions: what led to this (trace), and what came of that (impact)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core.errors import LineageError
from components.core.workspace import Workspace
from model_registry.lineage.build import node, rebuild
from model_registry.lineage.graph import Edge, Subgraph, open_graph


@dataclass(frozen=True)
class Answer:
    """`subject` is the id that was asked about, `graph` what was found."""

    subject: str
    graph: Subgraph

    def as_dict(self) -> dict[str, Any]:
        return {"subject": self.subject, **self.graph.as_dict()}


def trace(workspace: Workspace, name: str) -> Answer:
    """Everything behind an action (`<episode>:<step>`), version, robot or episode, up to files and collectors."""
    rebuild(workspace)
    action = find_action(workspace, name)
    with open_graph(workspace.lineage_db) as graph:
        if action is None:
            subject = graph.resolve(_as_uri(name)).id
            return Answer(subject, graph.walk(subject, "up"))
        bundle = graph.resolve(f"bundle:{action['bundle_digest']}").id
        version = f"version:{action['version']}"
        behind = graph.walk(version, "up")
    if bundle not in {item.id for item in behind.nodes}:
        raise LineageError(
            f"action {name} says bundle {action['bundle_digest'][:12]}, which version {action['version']} never was"
        )
    subject = f"action:{name}"
    label = f"{action.get('task', '')} on {action.get('robot', '?')}, step {action['step']}".strip()
    nodes = (node("action", name, label), *behind.nodes)
    return Answer(subject, Subgraph(nodes, (Edge(version, subject, "answered", action.get("at", "")), *behind.edges)))


def impact(workspace: Workspace, name: str) -> Answer:
    """Everything that came of an episode, source file, collector or dataset, down to versions and robots."""
    rebuild(workspace)
    with open_graph(workspace.lineage_db) as graph:
        subject = graph.resolve(_as_uri(name)).id
        return Answer(subject, graph.walk(subject, "down"))


def _as_uri(name: str) -> str:
    """Source files are named relative to data/raw; a path from the workspace's root is meant the same."""
    return name.removeprefix("./").removeprefix("data/raw/")


def actions(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Every served action chunk on record, file by file."""
    folder = workspace.state / "actions"
    for path in sorted(folder.glob("*.jsonl")) if folder.is_dir() else ():
        yield from _read(path)


def find_action(workspace: Workspace, name: str) -> dict[str, Any] | None:
    """The record of one served action, by `<episode>:<step>`."""
    if ":" not in name:
        return None
    return next((line for line in actions(workspace) if line.get("action_id") == name), None)


def _read(path: Path) -> Iterator[dict[str, Any]]:
    with path.open() as stream:
        for line in stream:
            if line.endswith("\n"):
                yield json.loads(line)
