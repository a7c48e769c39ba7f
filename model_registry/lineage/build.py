"""Records and journals -> nodes and edges.

    source ─► episode ─► selection ─► checkpoint ─► bundle ─► version ─► execution ─► robot
    collector ─┘  dataset ─┘            verdicts ─┘     └► bundle (a drill made from it)

A selection is the set of episodes a checkpoint was trained on; checkpoints that share it share the node.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.core.files import digest_json, read_lines
from components.core.workspace import Workspace
from model_registry.lineage.graph import Edge, Node, write_graph
from model_registry.snapshot import Snapshot

_SHORT = 12


def node(kind: str, key: str, label: str = "") -> Node:
    return Node(f"{kind}:{key}", kind, label or (key[:_SHORT] if len(key) == 64 else key))


def rebuild(workspace: Workspace) -> None:
    """Makes `lineage.db` anew from the facts on disk. The same facts give the same rows."""
    nodes: list[Node] = []
    edges: list[Edge] = []
    for found in _facts(workspace):
        (nodes if isinstance(found, Node) else edges).append(found)  # type: ignore[arg-type]
    write_graph(workspace.lineage_db, nodes, edges)


def _facts(workspace: Workspace) -> Iterator[Node | Edge]:
    records = workspace.state / "records"
    for folder in sorted(records.iterdir()) if records.is_dir() else ():
        if not folder.name.startswith("."):
            yield from _snapshot(Snapshot(folder.name, folder))
    versions: dict[str, str] = {}
    for line in workspace.journal.read():
        if line["event"] == "register":
            versions[line["version"]] = line["bundle"]
            yield node("version", line["version"], f"version {line['version']}")
            yield Edge(f"bundle:{line['bundle']}", f"version:{line['version']}", "registered_as", line["at"])
    for path in sorted(workspace.rollouts.glob("*/episodes.jsonl")):
        yield from _executions(path)


def _snapshot(snapshot: Snapshot) -> Iterator[Node | Edge]:
    bundle, checkpoint = snapshot.record("bundle"), snapshot.record("checkpoint")
    dataset, verdicts = checkpoint.inputs["dataset"], checkpoint.inputs["verdicts"]
    yield node("bundle", snapshot.digest)
    derived_from = bundle.attrs.get("derived_from")
    if derived_from:
        yield Edge(f"bundle:{derived_from}", f"bundle:{snapshot.digest}", "derived_from")
        return
    yield node("checkpoint", checkpoint.digest)
    yield Edge(f"checkpoint:{checkpoint.digest}", f"bundle:{snapshot.digest}", "exported_as")
    rows = _episode_rows(snapshot.episodes_file)
    selection = digest_json(sorted(row["episode_id"] for row in rows))
    yield node("selection", selection, f"{len(rows)} episodes")
    yield node("dataset", dataset)
    yield node("verdicts", verdicts)
    yield Edge(f"dataset:{dataset}", f"selection:{selection}", "member")
    yield Edge(f"verdicts:{verdicts}", f"selection:{selection}", "judged")
    yield Edge(f"selection:{selection}", f"checkpoint:{checkpoint.digest}", "trained")
    for row in rows:
        yield from _episode(row, selection)


def _episode(row: dict[str, Any], selection: str) -> Iterator[Node | Edge]:
    key = row["episode_id"]
    yield node("episode", key, f"{row.get('task', '')} {key[:_SHORT]}".strip())
    yield Edge(f"episode:{key}", f"selection:{selection}", "member")
    yield node("source", row["source_uri"])
    yield Edge(f"source:{row['source_uri']}", f"episode:{key}", "recorded_in")
    file_uri, _, part = row["source_uri"].partition("#")
    if part:
        yield node("source", file_uri)
        yield Edge(f"source:{file_uri}", f"source:{row['source_uri']}", "contains")
    if row.get("collector_id"):
        yield node("collector", row["collector_id"])
        yield Edge(f"collector:{row['collector_id']}", f"episode:{key}", "collected")
    if row.get("robot_id"):
        yield node("recorder", row["robot_id"], f"{row['robot_id']} (recording)")
        yield Edge(f"recorder:{row['robot_id']}", f"episode:{key}", "recorded_on")


def _episode_rows(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    return list(pq.read_table(path).to_pylist())


def _executions(path: Path) -> Iterator[Node | Edge]:
    """One node per episode that a version answered: a "start" line names the robot, a "served" line the version."""
    started: dict[str, dict[str, Any]] = {}
    for line in read_lines(path):
        episode = line["episode"]
        if line["kind"] == "start":
            started.setdefault(episode, line)
        elif line["kind"] == "served" and episode in started:
            robot = started[episode]["robot"]
            yield node("execution", episode, f"{started[episode]['task']} on {robot}")
            yield Edge(f"version:{line['version']}", f"execution:{episode}", "served", line["at"])
            yield node("robot", robot)
            yield Edge(f"execution:{episode}", f"robot:{robot}", "executed_by", started[episode]["at"])
