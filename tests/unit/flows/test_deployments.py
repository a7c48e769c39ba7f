"""The scheduled deployments name flows that exist and parameters that they take."""

from __future__ import annotations

import inspect

import pytest
import yaml

# Prefect and its dependencies warn about one another on import.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def test_each_deployment_points_to_a_flow_and_fits_it(project) -> None:
    import importlib

    from prefect.flows import Flow

    deployments = yaml.safe_load((project / "flows" / "prefect.yaml").read_text())["deployments"]
    assert [entry["name"] for entry in deployments] == ["nightly", "reconcile"]
    for entry in deployments:
        path, _, name = entry["entrypoint"].partition(":")
        flow = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), name)
        assert isinstance(flow, Flow)
        assert flow.name == entry["name"]
        assert set(entry["parameters"]) <= set(inspect.signature(flow.fn).parameters)
        assert entry["concurrency_limit"]["limit"] == 1
        assert entry["schedules"]


def test_no_task_is_cached_by_prefect() -> None:
    """DVC and the rollout log decide what is done; a second cache would decide otherwise one day."""
    from prefect.cache_policies import NO_CACHE

    from flows import nightly

    tasks = [nightly.stage, nightly.register, nightly.roll_out]
    assert all(task.cache_policy == NO_CACHE for task in tasks)
