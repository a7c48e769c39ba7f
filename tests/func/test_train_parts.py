"""What may be trained, by what, and what is refused: through files and processes."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from components.bundle.verify import verify
from components.core.errors import BundleError, ContractError, DatasetError, ParamsError
from components.core.params import Params, Video, load_params
from components.core.records import read_record
from components.core.spec import SAWYER_CELL
from components.core.train_params import Freeze, Lora, Teacher
from components.core.workspace import Workspace
from components.dataset.frames import ROW_COLUMNS, EpisodeFrames
from components.dataset.writer import DatasetWriter
from components.export.export import run as export
from components.policy.checkpoint import load_policy
from components.train.stage import run

CELL = replace(SAWYER_CELL, observation=replace(SAWYER_CELL.observation, image_px=32))
LENGTH = 8
LONG = "open the drawer of the grey cabinet that stands left of the red button and then leave it alone"
WORDS = ("open the drawer", LONG, "pull the drawer open", "open it")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path, WORDS)


def make_workspace(root: Path, words: tuple[str, ...], bad_state: int | None = None) -> Workspace:
    """Four episodes of one task to train on, each told in its own words, and one held out."""
    found, rng, rows = Workspace(root), np.random.default_rng(0), []
    sides: dict[str, str] = {}
    with DatasetWriter(found.dataset, CELL, 20, Video(codec="h264", crf=18, gop=2, pix_fmt="yuv420p")) as writer:
        for number, text in enumerate([*words, words[0]]):
            name = hashlib.sha256(bytes([number])).hexdigest()
            row = dict.fromkeys(ROW_COLUMNS, "") | {"embodiment": CELL.name, "source_uri": f"{number}.mcap"}
            images = {name: rng.integers(0, 256, (LENGTH, 32, 32, 3), np.uint8) for name in ("fixed", "wrist")}
            state = rng.normal(0, 1, (LENGTH, 4)).astype(np.float32)
            state[3, 1] = np.nan if number == bad_state else state[3, 1]
            action, time_s = rng.uniform(-1, 1, (LENGTH, 4)).astype(np.float32), np.arange(LENGTH) / 20
            writer.add_frames(EpisodeFrames(name, "open", text, images, state, action, time_s, row))
            sides[name] = "val" if number == len(words) else "train"
            rows.append({"episode_id": name, "verdict": "accepted", "codes": []})
        writer.close(sides)
    found.checks.mkdir(parents=True)
    pd.DataFrame(rows).to_parquet(found.checks / "verdicts.parquet", index=False)
    return found


@pytest.fixture(scope="module")
def params(project: Path) -> Params:
    return told(
        load_params(project / "params.yaml"),
        seeds=(1,),
        steps=4,
        blind_steps=2,
        wordless_steps=0,
        batch_size=8,
        chunk=4,
    )


def told(params: Params, **changed: object) -> Params:
    return params.model_copy(update={"train": params.train.model_copy(update=changed)})


def weights(workspace: Workspace, name: str = "seed-1") -> dict[str, torch.Tensor]:
    return load_policy(workspace.train / name)[0].state_dict()


def test_a_bundle_teaches_the_next_policy(workspace, params):
    run(workspace, params)
    plain = weights(workspace)
    assert load_policy(workspace.train / "seed-1")[2].text_len == 24
    export(workspace, params)
    shutil.copytree(workspace.bundles / "seed-1", workspace.root / "teachers/one")
    digest = verify(workspace.root / "teachers/one")
    taught = told(params, teacher=Teacher(path="teachers/one", sha256=digest, weight=0.9))
    run(workspace, taught)
    record = read_record(workspace.train / "seed-1", "checkpoint")
    assert record.inputs["teacher"] == digest
    assert not torch.equal(weights(workspace)["head.last.weight"], plain["head.last.weight"])
    kept = weights(workspace)
    wrong = told(params, teacher=Teacher(path="teachers/one", sha256="0" * 64))
    with pytest.raises(BundleError, match=rf"its digest is {digest}, train.teacher.sha256 says 0000"):
        run(workspace, wrong)
    assert all(torch.equal(kept[name], weights(workspace)[name]) for name in kept)


def test_frozen_eyes_and_adapters_through_processes(workspace, params):
    rules = (Freeze(match="eyes.*", until_step=3), Freeze(match="language.*"))
    run(workspace, told(params, freeze=rules, lora=Lora(rank=2, match=("head.middle",))))
    trained, drawn = weights(workspace), weights(workspace, "untrained")
    same = {name for name in drawn if torch.equal(drawn[name], trained[name])}
    assert same == {name for name in drawn if name.startswith("language.")} | {"head.middle.bias"}
    assert (workspace.train / "seed-1/adapter.safetensors").is_file()
    assert read_record(workspace.train / "seed-1", "checkpoint").counts.keys() >= {"trainable_share_from_step_3"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"freeze": (Freeze(match="eyes.camera_fxed.*"),)},
            r"train.freeze: 'eyes\.camera_fxed\.\*' matches no parameter.*eyes\.",
        ),
        ({"lora": Lora(rank=2, match=("haed.*",))}, r"train.lora.match: 'haed\.\*' matches no Linear.*head\."),
    ],
)
def test_a_pattern_that_means_nothing_leaves_nothing(workspace, params, changed, message):
    with pytest.raises(ParamsError, match=message):
        run(workspace, told(params, **changed))
    assert not workspace.train.exists()


def test_other_words_for_the_same_task_change_what_is_learnt(workspace, params):
    run(workspace, params)
    plain = weights(workspace)
    run(workspace, told(params, paraphrase=0.0))
    assert all(torch.equal(plain[name], weights(workspace)[name]) for name in plain)
    run(workspace, told(params, paraphrase=1.0))
    assert not torch.equal(plain["language.words.weight"], weights(workspace)["language.words.weight"])


def test_an_episode_that_cannot_be_trained_on_is_named_before_the_first_step(tmp_path, params):
    silent = make_workspace(tmp_path / "silent", ("open it", "..."))
    with pytest.raises(DatasetError, match=r"instruction is '\.\.\.' in episode [0-9a-f]{12} of 1\.mcap"):
        run(silent, params)
    broken = make_workspace(tmp_path / "broken", ("open it", "open"), bad_state=1)
    with pytest.raises(DatasetError, match=r"episode [0-9a-f]{12} of 1\.mcap holds a state that is not finite"):
        run(broken, params)
    assert not silent.train.exists()
    assert not broken.train.exists()


def test_a_policy_cannot_be_told_more_than_it_was_made_for(workspace, params):
    run(workspace, params)
    transforms = load_policy(workspace.train / "seed-1")[2]
    with pytest.raises(ContractError, match=r"instruction of 25 words, the policy takes 24: 'open open"):
        transforms.tokens.apply(["open " * 25])
