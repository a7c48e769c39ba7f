"""What the bench of all presets runs, each phase in a process of its own.

    python tests/bench/family_runs.py train|export|answer|rollouts WORKSPACE FOLDER

FOLDER holds settings.json; the last line of the output is one JSON object. `answer` and `rollouts` load no torch.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from components.core.files import read_json
from components.core.params import Params, load_params
from components.core.workspace import Workspace
from components.policy.catalogue.families import PRESETS

ROOT = Path(__file__).resolve().parents[2]
# What says how much a step costs: some steps, then this share of the time.
PROBE_STEPS, PROBE_SHARE = 8, 0.05
ANSWERS, WARM_UP = 50, 5
SEED = 1
Settings = dict[str, Any]


def params_of(settings: Settings, steps: int) -> Params:
    """params.yaml with what the bench decides: validated once, at the end, and no controls."""
    params = load_params(ROOT / "params.yaml")
    needs = PRESETS[settings["preset"]].needs
    train = params.train.model_dump() | {
        "preset": settings["preset"],
        "unused": [name for name in ("state", "instructions") if not getattr(needs, name)],
        "seeds": [SEED],
        "steps": steps,
        "blind_steps": 0,
        "wordless_steps": 0,
        "batch_size": settings["batch_size"],
        "learning_rate": settings["learning_rate"],
        "warmup_steps": min(params.train.warmup_steps, steps // 10),
        "checkpoints": params.train.checkpoints.model_dump() | {"every": steps},
    }
    evaluate = {"rollouts_per_task": settings["rollouts"], "swapped_rollouts_per_pair": 0}
    return params.model_copy(
        update={
            "train": type(params.train).model_validate(train),
            "evaluate": params.evaluate.model_copy(update=evaluate),
        }
    )


def steps_within(seconds: float, of_a_step: float) -> int:
    """How many steps fit into so much time, and at least one."""
    return max(1, int(seconds / of_a_step))


def cost_of_a_step(ends: Sequence[float]) -> float:
    """CPU seconds between two ends, over the later half: the first steps fill the loader's pool and the caches."""
    half = len(ends) // 2
    later = ends[half - 1 :]
    return (later[-1] - later[0]) / (len(later) - 1)


def train(workspace: Workspace, folder: Path, settings: Settings) -> dict[str, float]:
    import torch
    from train_runs import Watch

    from components.policy.checkpoint import load_policy
    from components.train.allocator import keep_memory
    from components.train.inputs import load_inputs
    from components.train.jobs import Job
    from components.train.train import train_one

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    keep_memory()
    inputs = load_inputs(workspace, params_of(settings, PROBE_STEPS))

    def timed(name: str, steps: int) -> tuple[Any, Watch]:
        watch = Watch()
        watch.attach()
        return train_one(
            Job(f"seed-{SEED}", SEED, steps), inputs, params_of(settings, steps).train, folder / name
        ), watch

    seconds, steps = 60.0 * settings["minutes"], PROBE_STEPS
    for number in range(2):
        _, watch = timed(f"probe-{number}", steps)
        cost = cost_of_a_step([cpu for _, cpu in watch.ends])
        steps = max(PROBE_STEPS, steps_within(PROBE_SHARE * seconds, cost))
    done, watch = timed("checkpoint", max(2, steps_within(seconds, cost)))
    spent = watch.result(settings["batch_size"])
    policy, _, _ = load_policy(folder / "checkpoint")
    return {
        "steps": done.steps,
        "cpu_s": spent["cpu_s"],
        "wall_s": spent["wall_s"],
        "error": done.policy_row["val_action_error"],
        "loss": done.policy_row["val_loss"],
        "parameters": sum(weight.numel() for weight in policy.parameters()),
    }


def export(workspace: Workspace, folder: Path, settings: Settings) -> dict[str, float]:
    from components.dataset.reader import Dataset
    from components.export.export import export_checkpoint
    from components.export.recorded import Recorded

    params = params_of(settings, 1)
    recorded = Recorded(workspace.root, Dataset.open(workspace.dataset), params.export.parity_samples)
    made = export_checkpoint(folder / "checkpoint", folder / "bundle", params, recorded)
    return {"parity": made.parity["max_abs"], "nodes": made.record.counts["nodes"]}


def answer(workspace: Workspace, folder: Path, settings: Settings) -> dict[str, float]:
    """CPU and wall time of one answer: images to actions in physical units."""
    from components.bundle.bundle import load_bundle

    bundle = load_bundle(folder / "bundle")
    example = bundle.warmup
    images = {
        name: view[:1] for name, view in example.by_camera(bundle.contract.embodiment.observation.cameras).items()
    }
    spent = []
    for _ in range(WARM_UP + ANSWERS):
        began = time.process_time(), time.perf_counter()
        bundle.act(images, example.state[:1], example.instructions[:1])
        spent.append((time.process_time() - began[0], time.perf_counter() - began[1]))
    cpu, wall = zip(*spent[WARM_UP:], strict=True)
    return {"cpu_ms": 1e3 * median(cpu), "wall_ms": 1e3 * median(wall)}


def rollouts(workspace: Workspace, folder: Path, settings: Settings) -> dict[str, dict[str, int]]:
    """Successes of each task, as the stage evaluate counts them."""
    from components.evaluate.closed_loop import Plan, run_plans
    from components.evaluate.report import make_report
    from components.evaluate.stage import trained_tasks

    name, bundle, params = settings["preset"], folder / "bundle", params_of(settings, 1).evaluate
    plans = [Plan(name, bundle, task, params.rollouts_per_task) for task in trained_tasks(bundle)]
    report = make_report(run_plans(plans, params), {name: ""})
    tasks = report["policies"][name]["tasks"]
    return {task: {"successes": row["successes"], "n": row["n"]} for task, row in tasks.items()}


RUNS: dict[str, Callable[[Workspace, Path, Settings], dict[str, Any]]] = {
    "train": train,
    "export": export,
    "answer": answer,
    "rollouts": rollouts,
}
WITHOUT_TORCH = ("answer", "rollouts")


def main() -> None:
    phase, workspace, folder = sys.argv[1], Workspace(Path(sys.argv[2])), Path(sys.argv[3])
    found = RUNS[phase](workspace, folder, read_json(folder / "settings.json"))
    if phase in WITHOUT_TORCH and "torch" in sys.modules:
        raise SystemExit(f"{phase} loaded torch, and what was measured is not what serves")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
