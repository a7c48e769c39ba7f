"""What happened on the robots: one durable line when an episode starts, is first served and ends, one per action chunk.

`.gripline/rollouts/<id>/episodes.jsonl` is what the judge reads; `.gripline/actions/<id>.jsonl` is what lineage reads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from components.core.journal import now
from components.core.workspace import Workspace
from deploy.rollout import lines

EPISODES_NAME = "episodes.jsonl"


@dataclass(frozen=True)
class Episode:
    """One episode of one robot.

    `version`: what served it, "" while no request of it was answered; `success`: None while it runs and for ever where
    nobody saw its end or it cannot be laid to one version; `order`: its place among the first answers, -1 before;
    `lost`: its robot is known to be gone; `mixed`: a second version answered too.
    """

    episode: str
    robot: str
    task: str
    seed: int
    phase: str
    number: int
    version: str = ""
    success: bool | None = None
    ended: bool = False
    lost: bool = False
    mixed: bool = False
    steps: int = 0
    attempts: int = 0
    failures: int = 0
    started_at: str = ""
    ended_at: str = ""
    order: int = -1

    @property
    def open(self) -> bool:
        """Still running, as far as anybody knows."""
        return not self.ended and not self.lost


class Evidence:
    """Appends from any number of processes; an episode is counted once whatever is reported twice."""

    def __init__(self, workspace: Workspace, rollout_id: str) -> None:
        self.rollout_id = rollout_id
        self.path = workspace.rollouts / rollout_id / EPISODES_NAME
        self.actions_path = actions_path(workspace, rollout_id)

    def start(self, episode: str, *, robot: str, task: str, seed: int, phase: str, number: int) -> None:
        self._write("start", episode, robot=robot, task=task, seed=seed, phase=phase, number=number)

    def served(self, episode: str, version: str) -> None:
        """The first answer came, from `version`: the episode has its arm. Called again where the version changed."""
        self._write("served", episode, version=version)

    def end(self, episode: str, *, success: bool, steps: int, attempts: int, failures: int) -> None:
        """Durable, with every action line before it."""
        if self.actions_path.exists():
            lines.flush(self.actions_path)
        self._write("end", episode, success=success, steps=steps, attempts=attempts, failures=failures)

    def lost(self, episode: str, reason: str) -> None:
        """Nobody will report the end of this episode any more: unknown, never success."""
        self._write("lost", episode, reason=reason)

    def action(
        self, episode: str, step: int, *, version: str, bundle_digest: str, robot: str, task: str, latency_ms: float
    ) -> None:
        """One served chunk; survives the death of the robot's process at once, and of the machine at `end`."""
        line = {
            "action_id": f"{episode}:{step}",
            "episode": episode,
            "step": step,
            "version": version,
            "bundle_digest": bundle_digest,
            "robot": robot,
            "task": task,
            "latency_ms": round(latency_ms, 3),
            "at": now(),
        }
        lines.append(self.actions_path, line, sync=False)

    def episodes(self) -> list[Episode]:
        """Every episode in order of its start line."""
        return fold(lines.read(self.path))

    def lose_open(self, reason: str) -> int:
        """Marks the episodes of robots that are gone; returns how many. Only for the owner, with no robot running."""
        gone = [item for item in self.episodes() if item.open]
        for item in gone:
            self.lost(item.episode, reason)
        return len(gone)

    def _write(self, kind: str, episode: str, **fields: Any) -> None:
        lines.append(self.path, {**fields, "kind": kind, "episode": episode, "at": now()})


def actions_path(workspace: Workspace, rollout_id: str) -> Path:
    return workspace.state / "actions" / f"{rollout_id}.jsonl"


def fold(log: list[dict[str, Any]]) -> list[Episode]:
    """Episodes out of lines. Of each episode the first start, the first answer and the first end count."""
    found: dict[str, Episode] = {}
    answers = 0
    for line in log:
        name, kind = line["episode"], line["kind"]
        known = found.get(name)
        if kind == "start" and known is None:
            found[name] = Episode(
                name, line["robot"], line["task"], line["seed"], line["phase"], line["number"], started_at=line["at"]
            )
        elif known is None:
            continue
        elif kind == "served" and not known.version:
            found[name] = replace(known, version=line["version"], order=answers)
            answers += 1
        elif kind == "served" and known.version != line["version"] and known.open:
            found[name] = replace(known, mixed=True)
        elif kind == "end" and known.open:
            found[name] = _ended(known, line)
        elif kind == "lost" and known.open:
            found[name] = replace(known, lost=True, ended_at=line["at"])
    return list(found.values())


def _ended(episode: Episode, line: dict[str, Any]) -> Episode:
    return replace(
        episode,
        ended=True,
        # An episode that no policy served, or two of them, proves nothing about any.
        success=bool(line["success"]) if episode.version and not episode.mixed else None,
        steps=line["steps"],
        attempts=line["attempts"],
        failures=line["failures"],
        ended_at=line["at"],
    )
