from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.errors import LineageError
from model_registry.lineage.graph import Edge, Node, open_graph, write_graph

KEYS = st.integers(0, 11)


def _node(key: int) -> Node:
    return Node(f"thing:{key:02d}", "thing", str(key))


def _closure(edges: set[tuple[int, int]], start: int, *, up: bool) -> set[str]:
    """Independent of SQL: the same question by brute force."""
    reached, fresh = {start}, {start}
    while fresh:
        fresh = {(a if up else b) for a, b in edges if (b if up else a) in fresh} - reached
        reached |= fresh
    return {f"thing:{key:02d}" for key in reached}


@settings(max_examples=60, deadline=None)
@given(pairs=st.sets(st.tuples(KEYS, KEYS), max_size=30), start=KEYS)
def test_walking_agrees_with_brute_force(tmp_path_factory: pytest.TempPathFactory, pairs, start: int) -> None:
    path = tmp_path_factory.mktemp("graph") / "lineage.db"
    edges = [Edge(_node(a).id, _node(b).id, "leads_to") for a, b in pairs]
    write_graph(path, [_node(key) for key in range(12)], edges)
    with open_graph(path) as graph:
        up, down = graph.walk(_node(start).id, "up"), graph.walk(_node(start).id, "down")
    assert {n.id for n in up.nodes} == _closure(pairs, start, up=True)
    assert {n.id for n in down.nodes} == _closure(pairs, start, up=False)
    names = {n.id for n in up.nodes}
    assert all(edge.src in names and edge.dst in names for edge in up.edges)


def test_the_order_of_facts_does_not_matter(tmp_path: Path) -> None:
    nodes = [_node(key) for key in range(4)]
    edges = [Edge("thing:00", "thing:01", "leads_to"), Edge("thing:01", "thing:02", "leads_to", "2026-01-01")]
    write_graph(tmp_path / "one.db", nodes, edges)
    write_graph(tmp_path / "two.db", nodes[::-1] + nodes, edges[::-1] + edges)
    with open_graph(tmp_path / "one.db") as one, open_graph(tmp_path / "two.db") as two:
        assert one.dump() == two.dump()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "lineage.db"
    write_graph(
        path,
        [
            Node("episode:abcdef01", "episode", ""),
            Node("episode:abcdef02", "episode", ""),
            Node("robot:r", "robot", ""),
        ],
        [],
    )
    return path


def test_a_name_is_a_whole_id_a_key_or_a_prefix(small: Path) -> None:
    with open_graph(small) as graph:
        assert graph.resolve("robot:r").id == graph.resolve("r").id == "robot:r"
        assert graph.resolve("abcdef01").id == "episode:abcdef01"
        with pytest.raises(LineageError, match="'abcdef' fits episode:abcdef01, episode:abcdef02"):
            graph.resolve("abcdef")
        with pytest.raises(LineageError, match="nothing called 'nobody'"):
            graph.resolve("nobody")


def test_a_missing_graph_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(LineageError, match="gripline lineage rebuild"), open_graph(tmp_path / "none.db"):
        pass
