"""A foreign trainer as the stage train: what it is told, what it must leave, and the bundle that comes of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import train_world
import yaml
from beside import helpers
from safetensors.numpy import load_file, save_file

from components.bundle.bundle import load_bundle
from components.core.errors import GateRefused, InputError, MissingDependency, ParamsError, RecordError, StageFailed
from components.core.files import read_json, tree_manifest, write_json
from components.core.params import Params, load_params
from components.core.records import read_record, write_record
from components.core.train_params import External, Train
from components.core.workspace import Workspace
from components.dataset.reader import Dataset
from components.export.export import run as export
from components.policy.external import external_digest
from components.train.external_left import take_over
from components.train.external_told import fill, write_told
from components.train.inputs import Inputs, load_inputs
from components.train.stage import run

TESTS = Path(__file__).resolve().parents[1]
TRAINER = TESTS / "support" / "foreign_trainer.py"
TOLD = ("{dataset}", "{episodes}", "{val_episodes}", "{out}", "{seed}", "{params}")
COMMAND = (sys.executable, str(TRAINER), *TOLD)
world = helpers(TESTS / "func" / "test_train.py")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trained-on") / "dataset"
    world.write_dataset(root)
    return root


@pytest.fixture
def workspace(tmp_path: Path, dataset: Path) -> Workspace:
    found = Workspace(tmp_path)
    found.data.mkdir()
    found.dataset.symlink_to(dataset)
    world.write_verdicts(found, refused=(4,))
    return found


@pytest.fixture(scope="module")
def params(project: Path) -> Params:
    loaded = load_params(project / "params.yaml")
    small = {"seeds": (7,), "steps": 2, "batch_size": 4, "warmup_steps": 1, "chunk": 4, "blind_steps": 0}
    small |= {"wordless_steps": 0}
    small["loader"] = loaded.train.loader.model_copy(update={"run_frames": 4, "pool_windows": 16})
    parity = {"parity_samples": 8}
    return loaded.model_copy(
        update={
            "train": loaded.train.model_copy(update=small),
            "export": loaded.export.model_copy(update=parity),
            "evaluate": loaded.evaluate.model_copy(update={"execute": 2}),
        }
    )


def with_command(params: Params, *command: str, **changes: object) -> Params:
    external = External(command=command, settings={"width": 3})
    return params.model_copy(update={"train": params.train.model_copy(update={"external": external, **changes})})


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory, dataset: Path, params: Params) -> tuple[Path, Inputs]:
    """What the trainer leaves when all is well, and the inputs of that run."""
    found = Workspace(tmp_path_factory.mktemp("left"))
    found.data.mkdir()
    found.dataset.symlink_to(dataset)
    world.write_verdicts(found, refused=(4,))
    asked = with_command(params, *COMMAND)
    inputs, external = load_inputs(found, asked), asked.train.external
    assert external is not None
    told = write_told(found.root / "told", found.root / "out", inputs, asked.train, external, 7)
    subprocess.run(fill(external.command, told), check=True, stdout=subprocess.DEVNULL)
    return found.root / "out", inputs


def test_what_a_foreign_trainer_leaves_becomes_a_checkpoint_with_its_lineage(workspace, params, capfd):
    run(workspace, with_command(params, *COMMAND))
    assert "training with seed 7" in capfd.readouterr().err
    assert sorted(path.name for path in workspace.train.iterdir()) == ["loss.csv", "metrics.json", "seed-7"]
    record = read_record(workspace.train / "seed-7", "checkpoint")
    assert record.inputs["dataset"] == Dataset.open(workspace.dataset).digest
    assert record.attrs["external"] == {"framework": "least-squares", "framework_version": "1.0", "code": {}}
    assert record.counts["episodes"] == 4
    episodes = pd.read_parquet(workspace.train / "seed-7" / "episodes.parquet")
    assert sorted(episodes["source_uri"]) == ["0.mcap", "1.mcap", "2.mcap", "3.mcap"]
    assert (workspace.train / "seed-7" / "checkpoint" / "least_squares.npy").is_file()
    assert read_json(workspace.train / "seed-7" / "base_statistics.json")["verdict"] == "fits"
    assert (workspace.train / "loss.csv").read_text().splitlines()[1] == "1,seed-7,2.0,3.0,"
    assert read_json(workspace.train / "metrics.json")["seed-7"]["loss"] == 0.5
    (line,) = [line for line in workspace.journal.read() if line["event"] == "trained"]
    assert line["checkpoint"] == record.digest
    left = [path.name for path in (workspace.state / "external").rglob("*") if path.is_file()]
    assert left == ["trainer.log"]


def test_the_same_inputs_give_the_same_bytes_and_the_bundle_acts(workspace, params):
    asked = with_command(params, *COMMAND)
    run(workspace, asked)
    before = tree_manifest(workspace.train)
    run(workspace, asked)
    assert tree_manifest(workspace.train) == before
    export(workspace, asked)
    bundle = load_bundle(workspace.bundles / "seed-7", expect=train_world.CELL)
    assert bundle.contract.preset == "linear"
    assert (bundle.contract.chunk, bundle.contract.opset) == (4, 20)
    assert bundle.record.inputs == {"checkpoint": read_record(workspace.train / "seed-7").digest}
    assert bundle.record.attrs["episodes"]["task"] == {"task": 4}
    parity = read_json(workspace.bundles / "seed-7" / "parity.json")
    assert (parity["reference"], parity["candidate"], parity["samples"]) == ("numpy", "onnxruntime", 20)
    assert 0.0 < parity["max_abs"] <= asked.export.parity_max_abs
    samples = load_file(workspace.train / "seed-7" / "samples.safetensors")
    images = {camera: samples["images"][:, place] for place, camera in enumerate(("fixed", "wrist"))}
    words = bundle.transforms.tokens.inverse(samples["tokens"])
    found = bundle.act(images, samples["state"], words)
    np.testing.assert_allclose(found, np.clip(samples["actions"], -1, 1), atol=1e-4)
    assert "onnxruntime against numpy on 20 frames" in (workspace.bundles / "seed-7" / "card.md").read_text()


def test_a_runtime_that_answers_otherwise_has_no_parity(workspace, params):
    asked = with_command(params, *COMMAND)
    run(workspace, asked)
    folder = workspace.train / "seed-7"
    samples = load_file(folder / "samples.safetensors")
    samples["actions"][3, 0, 1] += 0.01
    save_file(samples, folder / "samples.safetensors")
    with pytest.raises(RecordError, match="not what its record says"):
        export(workspace, asked)
    write_record(folder, replace(read_record(folder), digest=external_digest(folder)))
    with pytest.raises(GateRefused, match=r"action dy of onnxruntime differs from numpy by 0\.01"):
        export(workspace, asked)
    assert not (workspace.bundles / "seed-7").exists()


def test_the_controls_are_still_ours(workspace, params, monkeypatch):
    monkeypatch.setenv("GRIPLINE_WORKERS", "1")
    run(workspace, with_command(params, *COMMAND, blind_steps=2, seeds=(1, 2)))
    names = sorted(path.parent.name for path in workspace.train.glob("*/record.json"))
    assert names == ["blind", "seed-1", "seed-2", "untrained"]
    assert read_record(workspace.train / "blind").attrs["preset"] == "gripline-tiny"
    one, other = (tree_manifest(workspace.train / f"seed-{seed}" / "checkpoint") for seed in (1, 2))
    assert one == other, "this trainer draws nothing"


def test_code_and_settings_are_part_of_what_a_run_follows_from(workspace, params):
    code = workspace.root / "mine"
    (code / "__pycache__").mkdir(parents=True)
    (code / "loss.py").write_text("beta = 1\n")
    (code / "__pycache__" / "loss.pyc").write_bytes(b"x")
    asked = with_command(params, *COMMAND)
    external = asked.train.external.model_copy(update={"code": ("mine",)})
    asked = asked.model_copy(update={"train": asked.train.model_copy(update={"external": external})})
    run(workspace, asked)
    first = read_record(workspace.train / "seed-7")
    assert list(first.attrs["external"]["code"]) == ["mine/loss.py"]
    assert first.params["external"]["settings"] == {"width": 3}
    (code / "loss.py").write_text("beta = 2\n")
    run(workspace, asked)
    assert read_record(workspace.train / "seed-7").inputs["code"] != first.inputs["code"]


@pytest.mark.parametrize(
    ("command", "error", "match"),
    [
        (
            (sys.executable, "x.py", "--data={datasets}"),
            ParamsError,
            r"\{datasets\} in '--data=.* is unknown",
        ),
        (("no-such-trainer", "{out}"), MissingDependency, "no program 'no-such-trainer'"),
        (("./train.sh", "{out}"), MissingDependency, r"no program '\./train\.sh'"),
        ((), ParamsError, "command is empty"),
    ],
)
def test_a_command_that_cannot_be_run_is_refused_before_anything_is_trained(workspace, params, command, error, match):
    with pytest.raises(error, match=match):
        run(workspace, with_command(params, *command))
    assert not workspace.train.exists()


def test_code_that_is_not_there_is_refused(workspace, params):
    asked = with_command(params, *COMMAND)
    external = asked.train.external.model_copy(update={"code": ("gone.py",)})
    with pytest.raises(ParamsError, match=r"external\.code: no gone\.py"):
        run(workspace, asked.model_copy(update={"train": asked.train.model_copy(update={"external": external})}))


def test_a_mixture_and_a_foreign_trainer_exclude_each_other(project):
    value = yaml.safe_load((project / "params.yaml").read_text())["train"]
    value |= {"external": {"command": ["x"]}, "mixture": [{"path": "other", "sha256": "a" * 64}]}
    with pytest.raises(ValueError, match="clear mixture"):
        Train.model_validate(value)


def test_a_failure_names_the_last_lines_and_keeps_what_was_there(workspace, params):
    run(workspace, with_command(params, *COMMAND))
    before = tree_manifest(workspace.train)
    program = "print('loss 0.3'); raise SystemExit('out of memory')"
    with pytest.raises(StageFailed, match=r"trainer\.log: .* seed-7 ended with 1: loss 0\.3 \| out of memory"):
        run(workspace, with_command(params, sys.executable, "-uc", program))
    assert tree_manifest(workspace.train) == before


def test_a_seed_that_ended_well_is_not_run_twice_because_another_failed(workspace, params, tmp_path):
    count, script = tmp_path / "count", tmp_path / "train.sh"
    script.write_text(
        f'#!/bin/sh\necho "$5" >> {count}\n[ "$5" = 2 ] && [ ! -e {tmp_path}/go ] && exit 5\n'
        f'exec {sys.executable} {TRAINER} "$@"\n'
    )
    script.chmod(0o755)
    asked = with_command(params, str(script), *TOLD, seeds=(1, 2))
    with pytest.raises(StageFailed, match="the trainer of seed-2 ended with 5"):
        run(workspace, asked)
    (tmp_path / "go").touch()
    run(workspace, asked)
    assert count.read_text().split() == ["1", "2", "2"]
    assert (workspace.train / "seed-1" / "record.json").is_file()


def test_an_old_declaration_does_not_speak_for_a_run_that_leaves_none(workspace, params, tmp_path):
    script = tmp_path / "once.py"
    script.write_text(
        "import json, sys\nfrom pathlib import Path\n"
        "out, marker = map(Path, sys.argv[1:])\n"
        "if not marker.exists():\n    (out / 'external.json').write_text('{}')\nmarker.touch()\n"
    )
    asked = with_command(params, sys.executable, str(script), "{out}", str(tmp_path / "ran"))
    with pytest.raises(RecordError, match="framework: Field required"):
        run(workspace, asked)
    with pytest.raises(RecordError, match=r"no external\.json"):
        run(workspace, asked)


REFUSALS = {
    "seed": ("declared['seed'] = 8", "external.json: seed is 8, expected 7"),
    "dataset": ("declared['dataset'] = 'x'", "external.json: dataset is 'x', expected"),
    "unknown field": ("declared['sede'] = 1", "external.json: sede: Extra inputs are not permitted"),
    "missing field": ("del declared['framework_version']", "framework_version: Field required"),
    "no val loss": ("del declared['metrics']['val_loss']", "metrics: Value error, val_loss is missing"),
    "loss": ("declared['metrics']['loss'] = float('nan')", r"metrics\.loss: Input should be a finite number"),
    "actions": ("declared['action_names'] = ['dx', 'dy', 'dz', 'grip']", "action_names is dx, dy, dz, grip, sawyer"),
    "outside": ("declared['checkpoint'] = '../told'", r"checkpoint: \.\./told lies outside of \{out\}"),
    "itself": ("declared['checkpoint'] = '.'", "checkpoint: . is no folder"),
    "empty": ("declared['checkpoint'] = 'none'; (out / 'none').mkdir()", "checkpoint: none is no folder"),
    "link": ("(out / 'weights' / 'last').symlink_to('least_squares.npy')", "checkpoint: last is a link"),
    "metrics": ("(out / 'log.jsonl').write_text('{\"step\": \"a\"}')", "line 1 is no object of numbers"),
    "no metrics": ("(out / 'log.jsonl').unlink()", "metrics_file: .*No such file"),
    "graph": ("(out / 'policy.onnx').unlink()", "no policy.onnx"),
    "chunk": ("declared['chunk'] = 5", r"tensor 'actions' is .*\[.*4, 4\], the contract says .*5, 4"),
    "no statistics": ("(out / 'stats.json').unlink()", "stats.json: no such file"),
    "one statistic": (
        "(out / 'stats.json').write_text('{\"action\": {\"mean\": [0, 0, 0, 0]}}')",
        "no statistics of",
    ),
    "narrow": (
        "(out / 'stats.json').write_text(json.dumps({k: {'mean': [0]} for k in ('observation.state', 'action')}))",
        "observation.state has 1 dimensions, sawyer-cell has 4",
    ),
}
_LOAD = "s = load_file(out / 'samples.safetensors')\n"
_SAVE = "\nsave_file(s, out / 'samples.safetensors')"
REFUSALS |= {
    name: (_LOAD + change + _SAVE, match)
    for name, change, match in [
        ("few", "s = {k: v[:15].copy() for k, v in s.items()}", "15 samples, at least 16 are needed"),
        ("dtype", "s['state'] = s['state'].astype('float64')", "tensor 'state' is float64 .*expected float32"),
        ("shape", "s['actions'] = s['actions'][:, :2].copy()", r"tensor 'actions' is float32 \[20, 2, 4\], expected"),
        ("lacks", "del s['tokens']", "tensor 'tokens' is missing"),
        ("more", "s['noise'] = s['state'].copy()", "tensor 'noise' is unknown"),
        ("nan", "s['actions'][0] = float('nan')", "tensor 'actions' holds NaN"),
        ("seen", "s['episode_index'][:] = 0", "episode_index 0 is none of val_episodes"),
        ("frame", "s['frame_index'][0] = 12", "has no frame 12"),
        ("state", "s['state'][2, 1] += 0.5", "sample 2: state is not that of frame"),
        ("words", "s['tokens'][1, 0] = 1 + (s['tokens'][1, 0] == 1)", "sample 1: tokens are not those of"),
        (
            "cameras",
            "s['images'] = s['images'][:, ::-1].copy()",
            "the image of fixed differs .*order fixed, wrist",
        ),
    ]
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_is_not_as_declared_is_refused_by_file_and_field(left, tmp_path, case):
    """`REFUSALS`: a change of what a trainer left in `out`, and what is said of it."""
    (good, inputs), out, folder = left, tmp_path / "out", tmp_path / "seed-7"
    shutil.copytree(good, out)
    folder.mkdir()
    (change, match), declared = REFUSALS[case], read_json(out / "external.json")
    exec(change, {"out": out, "declared": declared, "json": json, "load_file": load_file, "save_file": save_file})
    (out / "external.json").write_text(json.dumps(declared))
    with pytest.raises(InputError, match=match):
        take_over(out, folder, inputs, seed=7)
    assert not list(folder.iterdir())


def test_what_is_as_declared_is_taken_over(left, tmp_path):
    declared, fit = take_over(left[0], tmp_path, left[1], seed=7)
    assert (declared.reference, fit) == ("numpy", "fits")
    assert read_json(tmp_path / "external.json")["checkpoint"] == "checkpoint"


def test_a_trainer_that_leaves_nothing_is_refused_though_it_says_all_is_well(workspace, params):
    with pytest.raises(RecordError, match=r"out: no external\.json"):
        run(workspace, with_command(params, sys.executable, "-c", ""))


@pytest.mark.kill
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_of_a_trainer_outlives_the_stage(workspace, params, project, tmp_path, number):
    """Also none that a script started, which is how clusters are asked."""
    pids = tmp_path / "pids"
    script = tmp_path / "submit.sh"
    script.write_text(f"#!/bin/sh\nsleep 600 &\necho $! >> {pids}\necho $$ >> {pids}\nwait\n")
    script.chmod(0o755)
    value = yaml.safe_load((project / "params.yaml").read_text())
    value["train"] |= with_command(params, str(script)).train.model_dump(mode="json")
    (workspace.root / "params.yaml").write_text(yaml.safe_dump(value))
    command = [sys.executable, "-m", "components.train"]
    environment = {**os.environ, "PYTHONPATH": str(project)}
    with subprocess.Popen(command, cwd=workspace.root, env=environment, stderr=subprocess.DEVNULL) as stage:
        _wait(lambda: pids.is_file() and len(pids.read_text().split()) == 2)
        stage.send_signal(number)
        stage.wait(timeout=60)
    _wait(lambda: not any(world._runs(int(pid)) for pid in pids.read_text().split()))
    assert stage.returncode != 0
    assert not workspace.train.exists()


def _wait(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_files_that_it_is_told_of(workspace, params, tmp_path):
    kept = tmp_path / "kept"
    program = "import shutil, sys; [shutil.copy(name, sys.argv[1]) for name in sys.argv[2:]]; sys.exit(1)"
    kept.mkdir()
    told = ("{episodes}", "{val_episodes}", "{params}")
    with pytest.raises(StageFailed, match="it said nothing"):
        run(workspace, with_command(params, sys.executable, "-c", program, str(kept), *told))
    train, val = read_json(kept / "episodes.json"), read_json(kept / "val_episodes.json")
    dataset = Dataset.open(workspace.dataset)
    assert train["dataset"] == val["dataset"] == dataset.digest
    ids = {row["episode_id"] for row in train["episodes"]} | {row["episode_id"] for row in val["episodes"]}
    assert len(ids) == len(train["episodes"]) + len(val["episodes"]) == 7
    for row in train["episodes"]:
        assert dataset.episode_id(row["episode_index"]) == row["episode_id"]
        assert row["length"] == train_world.LENGTH
        assert len(row["tokens"]) == read_json(kept / "params.json")["tokenizer"]["length"]
    settings = read_json(kept / "params.json")
    assert settings["settings"] == {"width": 3}
    assert settings["features"]["images"] == ["observation.images.fixed", "observation.images.wrist"]
    assert (settings["fps"], settings["seed"], settings["train"]["chunk"]) == (20, 7, 4)
    write_json(kept / "again.json", json.loads((kept / "params.json").read_text()))
    assert (kept / "again.json").read_bytes() == (kept / "params.json").read_bytes()
