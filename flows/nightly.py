"""The nightly flow: DVC's stages one by one, then what changes the world.

Caching is off everywhere: DVC alone decides what is up to date, and a rollout's own log decides what is done.
"""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from components.core.params import load_params
from components.core.workspace import Workspace, find_workspace
from flows import pipeline, release
from flows.tracking import tracked

log = logging.getLogger("gripline")


@task(cache_policy=NO_CACHE)
def stage(root: str, name: str) -> str:
    """Brings one DVC stage up to date; "ran" or "unchanged"."""
    log.info("stage %s ...", name)
    workspace = Workspace(Path(root))
    with tracked(workspace) if name == "train" else nullcontext():
        result = pipeline.reproduce(workspace, name)
    log.info("stage %s: %s", name, result)
    return result


@task(cache_policy=NO_CACHE)
def register(root: str) -> list[str]:
    """Registers every policy that passed the gate; gives their versions in the order in which they are tried."""
    workspace = Workspace(Path(root))
    return [item.version for item in release.register_passed(workspace, load_params(workspace.root / "params.yaml"))]


@task(cache_policy=NO_CACHE)
def roll_out(root: str, keep_serving: bool) -> list[dict[str, Any]]:
    """Finishes what an earlier run left unfinished, then tries each new version against the champion."""
    workspace = Workspace(Path(root))
    return release.release_all(workspace, load_params(workspace.root / "params.yaml"), keep_serving=keep_serving)


@flow(name="nightly", log_prints=False, persist_result=False)
def nightly(workspace: str = ".", rollout: bool = True, keep_serving: bool = False) -> dict[str, Any]:
    """From the recordings in data/raw to a judged rollout."""
    found = find_workspace(Path(workspace))
    root = str(found.root)
    with pipeline.one_writer(found):
        stages = {name: stage.with_options(name=name)(root, name) for name in pipeline.STAGES}
        releases: list[dict[str, Any]] = []
        if rollout:
            register(root)
            releases = roll_out(root, keep_serving)
    _artifact(found, stages, releases)
    return {"stages": stages, "releases": releases}


def _artifact(workspace: Workspace, stages: dict[str, str], releases: list[dict[str, Any]]) -> None:
    from flows.summary import as_text, collect

    text = as_text(collect(workspace, stages, releases, 0.0))
    create_markdown_artifact(f"```\n{text}\n```", key="nightly-summary", description="What the run did")


def flush_logs() -> None:
    """Sends what Prefect's log worker still holds, before the server of this run ends."""
    from prefect.logging.handlers import APILogWorker

    logging.getLogger("prefect").handlers.clear()
    APILogWorker.drain_all(timeout=5)
