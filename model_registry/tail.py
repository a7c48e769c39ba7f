"""The tail: follows trainings through their files and logs them into MLflow, so that its UI moves while they run.

A process of its own beside the stage: `python -m model_registry.tail WORKSPACE` goes on until its stdin is closed, also
by the death of who started it, then looks once more and ends. No failure here reaches the training.
"""

from __future__ import annotations

import fcntl
import logging
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from components.core.errors import Busy
from components.core.files import read_json, write_json
from components.core.stage import configure_logging
from components.core.workspace import Workspace
from model_registry.registry import Registry
from model_registry.training_files import TrainingFiles, find_trainings
from model_registry.training_runs import TRAINING_EXPERIMENT, TrainingRuns

log = logging.getLogger(__name__)

POLL_S = 2.0


class Tail:
    """Logs the trainings of one workspace. MLflow is imported when there is something to log."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._runs: TrainingRuns | None = None
        self._tracked = workspace.state / "mlflow" / "tracked.json"
        self._warned: set[str] = set()

    def look(self, *, again: bool = False) -> list[TrainingFiles]:
        """Logs what is new; gives the trainings that it found. `again`: also those that are known to be logged."""
        found, marks = self.found(), self._marks()
        wanted = [one for one in found if again or _mark(one) != marks.get(one.id)]
        for training in wanted:
            run, known = self._client().log(training), dict(marks)
            # One that runs, also once more, is not logged to its end: whoever looks later must ask again.
            marks.pop(training.id, None)
            if training.is_done or not training.alive:
                marks[training.id] = _mark(training)
            if marks != known:
                write_json(self._tracked, marks)
            if training.is_done:
                write_json(self.workspace.training_run, {"training": training.id, **run})
        return found

    def found(self) -> list[TrainingFiles]:
        return find_trainings(self.workspace)

    def try_to_look(self) -> None:
        """The same; what fails is a warning, once."""
        try:
            self.look()
        # MLflow and its stores raise what they like; the next look tries again.
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            if text not in self._warned:
                self._warned.add(text)
                log.warning("training goes on, but MLflow does not hear of it: %s", text)

    def _client(self) -> TrainingRuns:
        if self._runs is None:
            registry = Registry(self.workspace, "")
            client = registry.ensure_store(TRAINING_EXPERIMENT)
            self._runs = TrainingRuns(client, str(client.get_experiment_by_name(TRAINING_EXPERIMENT).experiment_id))
        return self._runs

    def _marks(self) -> dict[str, str]:
        """What was logged to its end, so that a run of the pipeline that trains nothing need not ask MLflow."""
        store = self.workspace.state / "mlflow" / "mlflow.db"
        if not self._tracked.is_file() or not store.is_file():
            return {}
        return dict(read_json(self._tracked))


def _mark(training: TrainingFiles) -> str:
    """Changes with all that a training that is over may still change in: its checkpoints, and how far it came."""
    if training.alive:
        return ""
    sizes = [path.stat().st_size for job in training.jobs for path in job.files("*.jsonl").values()]
    return " ".join([str(training.is_done), *(job.checkpoint[:16] for job in training.jobs), *map(str, sizes)])


@contextmanager
def one_tail(workspace: Workspace) -> Iterator[None]:
    """Two tails would log everything twice. Raises `Busy` for the second."""
    path = workspace.state / "mlflow" / "tail.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Busy("another process logs the trainings of this workspace", where=str(path)) from error
        yield


def follow(tail: Tail, ended: Callable[[], bool], *, poll_s: float = POLL_S) -> None:
    """Looks every `poll_s` until `ended`, and once more then."""
    while not ended():
        tail.try_to_look()
        waited = time.monotonic() + poll_s
        while time.monotonic() < waited and not ended():
            time.sleep(0.05)
    tail.try_to_look()


def main(root: str) -> None:
    """Follows the trainings of the workspace `root` until stdin is closed."""
    configure_logging(logging.WARNING)
    # Ctrl-C is for who started this, and closes stdin.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    workspace = Workspace(Path(root))
    try:
        with one_tail(workspace):
            follow(Tail(workspace), lambda: bool(select.select([sys.stdin], [], [], 0)[0]))
    except Busy as busy:
        log.debug("%s", busy)


if __name__ == "__main__":
    main(sys.argv[1])
