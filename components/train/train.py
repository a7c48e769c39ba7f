"""One job: from inputs in memory to a checkpoint folder."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.pytorch import Trainer

from components.core.params import Train
from components.core.records import Record, write_record
from components.dataset.loading.loader import Loader
from components.policy.checkpoint import save_policy
from components.policy.presets import PolicyConfig
from components.train.augment import Augmentation
from components.train.callbacks import Metrics, Progress, Throughput
from components.train.data import PolicyData, TrainingStream, ValidationStream, Windows
from components.train.inputs import Inputs
from components.train.jobs import VALIDATE_EVERY, Job
from components.train.module import PolicyTraining


@dataclass(frozen=True)
class Trained:
    """`validations`: {"step", "loss", "val_loss"} in order of steps; `seconds`: of training steps, validation left out,
    `loading_seconds` of them between two steps, where the next batch is waited for and made.
    """

    name: str
    digest: str
    validations: list[dict[str, float]]
    steps: int
    seconds: float
    loading_seconds: float


def train_one(job: Job, inputs: Inputs, params: Train, folder: Path, *, position: int = 0) -> Trained:
    """Trains `job` and writes its checkpoint, metrics, episodes and record into `folder`.

    The bytes follow from the arguments alone, given one torch thread and deterministic algorithms.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = _config(job, inputs, params)
    torch.manual_seed(job.seed)
    module = PolicyTraining(config.build(), params, job.steps)
    metrics, throughput = Metrics(folder / "metrics.jsonl"), Throughput(job.name, params.batch_size)
    callbacks = [metrics, throughput, Progress(job.name, job.steps, position)]
    with inputs.train.loader(params, seed=job.seed) as train, inputs.val.loader(params, shuffle=False) as val:
        _fit(module, _data(job, inputs, params, train, val), callbacks, job.steps)
    if not metrics.validations or metrics.validations[-1]["step"] != job.steps:
        raise RuntimeError(f"{job.name} ended without a validation at step {job.steps}")
    digest = save_policy(folder, module.policy.eval(), config, inputs.transforms)
    inputs.episodes.to_parquet(folder / "episodes.parquet", index=False)
    write_record(folder, _record(job, inputs, params, digest, metrics.validations[-1]))
    return Trained(job.name, digest, metrics.validations, job.steps, throughput.seconds, throughput.loading_seconds)


def _config(job: Job, inputs: Inputs, params: Train) -> PolicyConfig:
    transforms = inputs.transforms
    return PolicyConfig(
        params.preset, transforms.embodiment, transforms.vocab_size, transforms.text_len, params.chunk, job.blind
    )


def _data(job: Job, inputs: Inputs, params: Train, train: Loader, val: Loader) -> PolicyData:
    windows = Windows(train, inputs.transforms, blind=job.blind, weights=inputs.weights)
    stream = TrainingStream(
        windows, Augmentation.of(params), seed=job.seed, steps=job.steps, batch_size=params.batch_size
    )
    return PolicyData(stream, ValidationStream(Windows(val, inputs.transforms), params.batch_size))


def _fit(module: PolicyTraining, data: PolicyData, callbacks: list, steps: int) -> None:
    # Lightning announces devices and tips at level INFO.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        precision="32-true",
        max_steps=steps,
        max_epochs=-1,
        val_check_interval=VALIDATE_EVERY,
        check_val_every_n_epoch=None,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    with warnings.catch_warnings():
        # Lightning's own use of a torch function that is on its way out.
        warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated", category=FutureWarning)
        if steps:
            trainer.fit(module, datamodule=data)
        if steps == 0 or steps % VALIDATE_EVERY:
            trainer.validate(module, datamodule=data, verbose=False)


def _record(job: Job, inputs: Inputs, params: Train, digest: str, last: dict[str, float]) -> Record:
    return Record(
        kind="checkpoint",
        digest=digest,
        inputs=dict(inputs.digests),
        params=params.model_dump(mode="json"),
        counts={
            "episodes": len(inputs.episodes),
            "windows": inputs.train.windows,
            "steps": job.steps,
            "loss": last["loss"],
            "val_loss": last["val_loss"],
        },
        attrs={"name": job.name, "seed": job.seed, "blind": job.blind, "preset": params.preset},
    )
