"""The lineage graph in SQLite: nodes named `kind:key`, edges from cause to effect, walked with recursive queries."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from components.core.errors import LineageError

_SCHEMA = """
CREATE TABLE node (id TEXT PRIMARY KEY, kind TEXT NOT NULL, label TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE edge (src TEXT NOT NULL, dst TEXT NOT NULL, rel TEXT NOT NULL, at TEXT NOT NULL,
                   PRIMARY KEY (src, dst, rel)) WITHOUT ROWID;
CREATE INDEX edge_back ON edge (dst, src);
"""
_MIN_PREFIX = 6


@dataclass(frozen=True, order=True)
class Node:
    """`id` is `kind:key`; `label` is for people."""

    id: str
    kind: str
    label: str


@dataclass(frozen=True, order=True)
class Edge:
    src: str
    dst: str
    rel: str
    at: str = ""


@dataclass(frozen=True)
class Subgraph:
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def of_kind(self, kind: str) -> list[Node]:
        return [node for node in self.nodes if node.kind == kind]

    def as_dict(self) -> dict[str, Any]:
        return {
            "nodes": [{"kind": n.kind, "id": n.id, "label": n.label} for n in self.nodes],
            "edges": [{"src": e.src, "dst": e.dst, "rel": e.rel, "at": e.at} for e in self.edges],
        }


class Graph:
    """A read-only view of a lineage database; `write_graph` makes one."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def resolve(self, name: str) -> Node:
        """The node that a person means: a whole id, a key of any kind, or a prefix that fits one node only."""
        rows = self._db.execute(
            "SELECT id, kind, label FROM node WHERE id = ? OR substr(id, instr(id, ':') + 1) = ?", (name, name)
        ).fetchall()
        if not rows and len(name) >= _MIN_PREFIX:
            rows = self._db.execute(
                "SELECT id, kind, label FROM node WHERE substr(id, instr(id, ':') + 1, ?) = ? LIMIT 20",
                (len(name), name),
            ).fetchall()
        # A robot that recorded and a robot that executes may have one name; people ask about what executes.
        rows = [row for row in rows if row[1] != "recorder"] or rows
        if not rows:
            hint = "Give an action, episode, version, digest, robot, collector, or a file as it is named below data/raw"
            raise LineageError(f"nothing called {name!r}", hint=hint)
        if len(rows) > 1:
            raise LineageError(f"{name!r} fits {', '.join(row[0] for row in rows[:5])}", hint="Give the whole id")
        return Node(*rows[0])

    def walk(self, start: str, direction: Literal["up", "down"]) -> Subgraph:
        """Everything that led to `start` (up), or that came of it (down), with the edges between."""
        near, far = ("dst", "src") if direction == "up" else ("src", "dst")
        reach = f"""WITH RECURSIVE reached(id) AS (
            SELECT ? UNION SELECT edge.{far} FROM edge JOIN reached ON edge.{near} = reached.id)"""
        nodes = self._db.execute(
            f"{reach} SELECT node.id, kind, label FROM node JOIN reached USING (id) ORDER BY node.id", (start,)
        )
        edges = self._db.execute(
            f"{reach} SELECT src, dst, rel, at FROM edge JOIN reached ON edge.{near} = reached.id ORDER BY 1, 2, 3",
            (start,),
        )
        return Subgraph(tuple(Node(*row) for row in nodes), tuple(Edge(*row) for row in edges))

    def dump(self) -> str:
        """Every row as text, sorted: two graphs are equal when their dumps are."""
        rows: list[Any] = [*self._db.execute("SELECT * FROM node ORDER BY id")]
        rows += self._db.execute("SELECT * FROM edge ORDER BY src, dst, rel")
        return "\n".join("\t".join(row) for row in rows)


def write_graph(path: Path, nodes: Iterable[Node], edges: Iterable[Edge]) -> None:
    """Builds the database under a temporary name and renames it, so a reader never sees half a graph."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    temporary.unlink(missing_ok=True)
    with sqlite3.connect(temporary) as db:
        db.executescript(_SCHEMA)
        db.executemany(
            "INSERT OR IGNORE INTO node VALUES (?, ?, ?)", ((n.id, n.kind, n.label) for n in sorted(set(nodes)))
        )
        db.executemany(
            "INSERT OR IGNORE INTO edge VALUES (?, ?, ?, ?)", ((e.src, e.dst, e.rel, e.at) for e in sorted(set(edges)))
        )
    db.close()
    temporary.replace(path)


@contextmanager
def open_graph(path: Path) -> Iterator[Graph]:
    if not path.is_file():
        raise LineageError("no lineage graph", where=str(path), hint="Run `gripline lineage rebuild`")
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        yield Graph(connection)
    finally:
        connection.close()
