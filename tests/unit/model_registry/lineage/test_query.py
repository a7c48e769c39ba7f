from __future__ import annotations

import json

import pytest

from components.core.errors import LineageError
from components.core.files import append_line, sha256_bytes
from components.core.workspace import Workspace
from model_registry.lineage.build import rebuild
from model_registry.lineage.graph import open_graph
from model_registry.lineage.query import find_action, impact, trace
from model_registry.snapshot import take_snapshot


def _registered(workspace: Workspace, make_run, name: str, version: str, episodes: tuple[str, ...]) -> str:
    digest = take_snapshot(workspace, make_run(name, episodes=episodes)).digest
    workspace.journal.write("register", version=version, bundle=digest, drill=False, run="r")
    return digest


def _executed(workspace: Workspace, episode: str, version: str, digest: str, robot: str) -> None:
    path = workspace.rollouts / "one" / "episodes.jsonl"
    start = {"kind": "start", "episode": episode, "robot": robot, "task": "drawer-open", "at": "2026-01-01"}
    append_line(path, json.dumps(start))
    append_line(path, json.dumps({"kind": "served", "episode": episode, "version": version, "at": "2026-01-02"}))
    action = {"action_id": f"{episode}:4", "episode": episode, "step": 4, "version": version, "bundle_digest": digest}
    append_line(
        workspace.state / "actions" / "one.jsonl", json.dumps({**action, "robot": robot, "task": "drawer-open"})
    )


@pytest.fixture
def history(workspace: Workspace, make_run) -> dict[str, str]:
    """Two versions that share one training episode; each ran on its own robot."""
    first = _registered(workspace, make_run, "seed-1", "1", ("demo_0", "demo_1"))
    second = _registered(workspace, make_run, "seed-2", "2", ("demo_1", "demo_2"))
    _executed(workspace, "run-a", "1", first, "robot-1")
    _executed(workspace, "run-b", "2", second, "robot-2")
    return {"1": first, "2": second}


def _keys(answer, kind: str) -> set[str]:
    return {node.id.partition(":")[2] for node in answer.graph.of_kind(kind)}


def test_an_action_leads_to_its_training_episodes_and_files(workspace: Workspace, history) -> None:
    answer = trace(workspace, "run-b:4")
    assert _keys(answer, "episode") == {sha256_bytes(b"demo_1"), sha256_bytes(b"demo_2")}
    assert _keys(answer, "source") == {
        "site-north/day.hdf5",
        "site-north/day.hdf5#demo_1",
        "site-north/day.hdf5#demo_2",
    }
    assert _keys(answer, "collector") == {"collector-0", "collector-1"}
    assert _keys(answer, "bundle") == {history["2"]}
    assert answer.subject == "action:run-b:4"
    assert json.loads(json.dumps(answer.as_dict()))["nodes"][0]["kind"] == "action"


@pytest.mark.parametrize(
    ("demo", "versions", "robots"),
    [("demo_0", {"1"}, {"robot-1"}), ("demo_1", {"1", "2"}, {"robot-1", "robot-2"}), ("demo_2", {"2"}, {"robot-2"})],
)
def test_an_episode_leads_to_the_robots_that_learned_it(workspace: Workspace, history, demo, versions, robots) -> None:
    answer = impact(workspace, sha256_bytes(demo.encode()))
    assert _keys(answer, "version") == versions
    assert _keys(answer, "robot") == robots


def test_a_source_file_reaches_as_far_as_its_episodes(workspace: Workspace, history) -> None:
    assert _keys(impact(workspace, "source:site-north/day.hdf5"), "robot") == {"robot-1", "robot-2"}


def test_a_drill_reaches_the_episodes_of_the_bundle_it_was_made_from(
    workspace: Workspace, make_run, degraded_copy, history
) -> None:
    drill = take_snapshot(workspace, degraded_copy(make_run("seed-2", episodes=("demo_1", "demo_2"))))
    workspace.journal.write("register", version="3", bundle=drill.digest, drill=True, run="r")
    answer = trace(workspace, "version:3")
    assert sha256_bytes(b"demo_2") in _keys(answer, "episode")
    assert _keys(answer, "bundle") == {drill.digest, history["2"]}


def test_rebuilding_gives_the_same_graph(workspace: Workspace, history) -> None:
    rebuild(workspace)
    with open_graph(workspace.lineage_db) as graph:
        before = graph.dump()
    workspace.lineage_db.unlink()
    rebuild(workspace)
    with open_graph(workspace.lineage_db) as graph:
        assert graph.dump() == before
    assert before.count("episode:") > 3


def test_an_action_whose_bundle_is_not_its_versions_is_refused(workspace: Workspace, history) -> None:
    _executed(workspace, "run-c", "1", history["2"], "robot-1")
    with pytest.raises(LineageError, match="which version 1 never was"):
        trace(workspace, "run-c:4")


def test_a_half_written_action_is_not_read(workspace: Workspace, history) -> None:
    path = workspace.state / "actions" / "one.jsonl"
    path.write_text(path.read_text() + '{"action_id": "run-z:0"')
    assert find_action(workspace, "run-z:0") is None
    assert find_action(workspace, "run-a:4") is not None


def test_what_nobody_knows_is_named(workspace: Workspace, history) -> None:
    with pytest.raises(LineageError, match="nothing called 'run-q:9'"):
        trace(workspace, "run-q:9")
