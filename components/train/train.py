"""One job: from inputs in memory to a checkpoint folder."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path

import torch
from lightning.pytorch import Trainer

from components.core.params import Train
from components.core.records import write_record
from components.policy.attention import set_attention
from components.train.augment import Augmentation
from components.train.data import PolicyData, TrainingStream, ValidationStream, Windows
from components.train.distributed import agreed, is_first, rank_and_world
from components.train.engine import fit, make_trainer
from components.train.inputs import Inputs
from components.train.jobs import Job
from components.train.memory import memory_explained
from components.train.module import PolicyTraining
from components.train.outcome import ALL_STEPS, EARLY_STOP, Trained, record_of
from components.train.paraphrase import Phrasings
from components.train.parts import adapted, freezing_of
from components.train.placement import Placement, placement_of
from components.train.policies import build_policy
from components.train.saving import Saver
from components.train.sharded import ShardedTraining
from components.train.states import prepare, step_of
from components.train.teacher import load_teacher
from components.train.watch import Watch, watch

log = logging.getLogger(__name__)


def train_one(job: Job, inputs: Inputs, params: Train, folder: Path, *, position: int = 0) -> Trained:
    """Trains `job` and writes its checkpoint, metrics, episodes and record into `folder`; other robots' beside it.

    Goes on from the last whole state in `folder` where a killed run left one. The bytes follow from the arguments
    alone, given one torch thread and deterministic algorithms. Of several processes all call it and the first writes.
    """
    placement, saver = placement_of(params), Saver(job, inputs, params)
    state = agreed(prepare(folder) if is_first() else None)
    torch.manual_seed(job.seed)
    module = _module(job, inputs, params, placement, folder)
    freezing = freezing_of(module.policy, params, job)
    begun = step_of(state) if state else 0
    if job.steps and is_first():
        log.info("%-10s %s step %d of %d", job.name, "goes on after" if state else "begins at", begun, job.steps)
    watched = watch(job, inputs, params, placement, folder, saver, position)
    trainer = make_trainer(params, placement, job.steps, [*freezing, *watched.callbacks])
    with ExitStack() as stack, memory_explained(params, inputs.transforms.embodiment.observation.image_px):
        data = _data(job, inputs, params, placement, stack)
        module.blame = data.blame
        fit(trainer, module, data, state)
    one, policy = _outcome(job, trainer, watched, params, begun), saver.whole(module)
    if is_first():
        if watched.best is not None:
            watched.best.prune()
        if watched.best is not None and one.policy_step != one.steps:
            digests = saver.take(watched.best.best, folder)
        else:
            digests = saver.save(policy, folder)
        one = one.saved_as(digests[folder])
        shares = {name: share for rules in freezing for name, share in rules.shares.items()}
        for target, digest in digests.items():
            inputs.episodes.to_parquet(target / "episodes.parquet", index=False)
            write_record(target, record_of(one, job, inputs, params, shares, target, digest))
    return one


def _module(job: Job, inputs: Inputs, params: Train, placement: Placement, folder: Path) -> PolicyTraining:
    policy = adapted(build_policy(job, inputs, params, folder), params, job)
    set_attention(policy, params.attention)
    if params.compile:
        # In place: the names of the weights stay those of the plain policy.
        policy.compile()
    return (ShardedTraining if placement.kind == "fsdp" else PolicyTraining)(policy, params, job.steps)


def _data(job: Job, inputs: Inputs, params: Train, placement: Placement, stack: ExitStack) -> PolicyData:
    """The batches of this process; the loaders are closed with `stack`."""
    (rank, world), lanes = rank_and_world(), params.loader.lanes
    teacher = load_teacher(inputs.teacher, inputs.transforms, params.chunk) if inputs.teacher and job.steps else None

    def windows_of(lane: int) -> Windows:
        loader = stack.enter_context(inputs.train.loader(params, seed=job.seed, lane=lane if lanes > 1 else None))
        return Windows(
            loader,
            *inputs.robots,
            blind=job.blind,
            weights=inputs.weights,
            phrasings=Phrasings(loader.episodes, params.paraphrase) if params.paraphrase else None,
            teacher=teacher,
        )

    windows = {lane: windows_of(lane) for lane in range(rank * lanes // world, (rank + 1) * lanes // world)}
    stream = TrainingStream(
        windows,
        Augmentation.of(params),
        seed=job.seed,
        steps=job.steps * params.accumulate,
        batch_size=params.batch_size,
        lanes=lanes,
        pin=placement.accelerator == "cuda",
    )
    val = Windows(stack.enter_context(inputs.val.loader(params, shuffle=False)), *inputs.robots)
    return PolicyData(stream, ValidationStream(val, params.batch_size, rank=rank, world=world))


def _outcome(job: Job, trainer: Trainer, watched: Watch, params: Train, begun: int) -> Trained:
    rows, at = watched.metrics.validations, trainer.global_step
    if not rows or rows[-1]["step"] != at:
        raise RuntimeError(f"{job.name} ended without a validation at its last step {at}")
    use_best = params.checkpoints.use == "best" and watched.best is not None and bool(watched.best.kept)
    chosen = int(watched.best.kept[0]["step"]) if use_best and watched.best is not None else at
    ended_by = ALL_STEPS if at == job.steps else EARLY_STOP
    time = watched.throughput
    spent = (time.seconds, time.loading_seconds, at - begun)
    return Trained(job.name, "", rows, at, *spent, chosen, ended_by, batch_flops=time.flops, mfu=time.mfu)
