"""A small copy of the project as a workspace, and a way to kill what runs in it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from components.core.workspace import Workspace

# One task that is learned in a minute on a small machine; everything else is as delivered.
SMALL: dict[str, dict[str, Any]] = {
    "raw": {"tasks": ["faucet-open"], "episodes_per_task": 24, "planted_faults": 2},
    "train": {"steps": 300, "blind_steps": 20, "wordless_steps": 20, "warmup_steps": 20},
    "evaluate": {"rollouts_per_task": 10, "untrained_rollouts_per_task": 2},
    "gate": {"min_success": 0.3, "vision_tasks": [], "language_tasks": []},
    "rollout": {"shadow_requests": 20, "margin": 0.3, "min_episodes": 20},
}
TIMEOUT_S = 600.0


def make_workspace(project: Path, target: Path) -> Workspace:
    """The tracked files of the project in a repository of their own, with small numbers."""
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=project, check=True, capture_output=True
    )
    for name in names.stdout.decode().splitlines():
        source = project / name
        if name.startswith(("tests/", "docs/")) or name == "dvc.lock" or not source.is_file():
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target / name)
    params = yaml.safe_load((target / "params.yaml").read_text())
    for section, changes in SMALL.items():
        params[section].update(changes)
    (target / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "workspace"]):
        subprocess.run([*git, *command], cwd=target, check=True)
    return Workspace(target)


def environment(project: Path) -> dict[str, str]:
    """The workspace's own code runs, with the environments of the project."""
    return {
        **os.environ,
        "PYTHONPATH": "",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GRIPLINE_SERVING_ENV": os.environ.get("GRIPLINE_SERVING_ENV", str(project / ".venv-serving")),
    }


class Line:
    """`gripline` in a workspace, from outside."""

    def __init__(self, workspace: Workspace, project: Path) -> None:
        self.workspace = workspace
        self._environment = environment(project)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts `gripline ...` in a session of its own, so that it can be killed with all it started."""
        return subprocess.Popen(
            [sys.executable, "-c", "from flows.cli import main; main()", *arguments],
            cwd=self.workspace.root,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """Runs `gripline ... --json` to its end and gives the object that it printed."""
        process = self.start(*arguments, "--json")
        out, err = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == code, f"gripline {' '.join(arguments)}: exit {process.returncode}\n{err[-4000:]}"
        return dict(json.loads(out))

    def dvc(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *arguments],
            cwd=self.workspace.root,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    def kill_when(self, ready: Callable[[], bool], *arguments: str) -> None:
        """Starts `gripline ...` and sends SIGKILL to all of it as soon as `ready`."""
        process = self.start(*arguments)
        deadline = time.monotonic() + TIMEOUT_S
        while not ready():
            assert process.poll() is None, f"ended before it was killed: {process.communicate()[1][-4000:]}"
            assert time.monotonic() < deadline, "never ready to be killed"
            time.sleep(0.05)
        victims = descendants(process.pid)
        os.killpg(process.pid, signal.SIGKILL)
        for pid in victims:
            if _same_session(pid, process.pid):
                _kill(pid)
        process.communicate(timeout=60)


def descendants(pid: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def _same_session(pid: int, session: int) -> bool:
    try:
        return os.getsid(pid) == session
    except ProcessLookupError:
        return False


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def stage_runs(workspace: Workspace, module: str) -> bool:
    """Whether a process of this workspace runs `python -m module`."""
    import psutil

    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if command[-2:] == ["-m", module]:
            try:
                if Path(process.cwd()) == workspace.root:
                    return True
            except (psutil.Error, OSError):
                continue
    return False
