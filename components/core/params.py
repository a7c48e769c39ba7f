"""params.yaml as strict models: one section a stage, one place per number, unknown keys refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from components.core.errors import ParamsError

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Raw(Section):
    """Simulated demonstrations, recorded only where data/raw is empty."""

    tasks: tuple[str, ...]
    episodes_per_task: Positive
    seed: int
    # Noise on the executed action (the label stays clean), drawn per episode from U(0, max): DART, Laskey et al. 2017.
    execution_noise_max: Annotated[float, Field(ge=0)]
    noisy_share: Share
    # Bad episodes planted on top, one fault each; the tests know which.
    planted_faults: Count
    robots: tuple[str, ...]
    collectors: tuple[str, ...]
    sites: tuple[str, ...]


class Video(Section):
    codec: str
    # Effort of the encoder, in its own words; null: "veryfast" for h264, "8" for libsvtav1.
    preset: str | None = None
    crf: Annotated[int, Field(ge=0, le=63)]
    gop: Positive
    pix_fmt: str


class Ingest(Section):
    # A file robots/<embodiment>.yaml, or one of the embodiments that come with gripline.
    embodiment: str
    # Ticks a second of the dataset; null: the embodiment's own rate.
    fps: Positive | None = None
    # Take only samples from before a tick for its action, never one that came up to half a tick later.
    causal_actions: bool = False
    video: Video
    # Largest distance in time between a tick and the image used for it.
    max_misalignment_ms: Annotated[float, Field(gt=0)]
    val_share: Share
    split_seed: int
    # Episodes that agree in all of these stay on one side of the split; empty: only those with the same pixels do.
    split_by: tuple[Literal["robot_id", "collector_id", "site", "scene"], ...] = ()


class Checks(Section):
    """Thresholds of the data checks. An episode that breaks one with severity error is quarantined."""

    min_frames: Positive
    idle_motion_m: Annotated[float, Field(ge=0)]
    frozen_share_max: Share
    black_level: Annotated[float, Field(ge=0)]
    black_share_max: Share
    dropped_share_max: Share
    clock_jitter_max: Annotated[float, Field(ge=0)]
    state_jump_max_m: Annotated[float, Field(gt=0)]
    # Largest change of the command from a tick to the next: Euclidean, over all dimensions.
    action_jump_max: Annotated[float, Field(gt=0)]
    # Ticks by which motion may follow its command.
    action_lag_max_frames: Count
    # Largest distance in time between a tick and a sample used for it that is no fault yet.
    misalignment_max_ms: Annotated[float, Field(gt=0)]
    rate_tolerance: Share
    min_episodes_per_task: Count
    max_quarantined_share: Share
    # A verdict of these codes is counted and does not quarantine.
    warn: tuple[str, ...]


class Loader(Section):
    """The order of training windows: these decide what a seed sees, and when."""

    # Consecutive frames that are decoded in one go.
    run_frames: Positive
    # Windows that are shuffled among each other, of many runs; about the frames in memory, twice.
    pool_windows: Positive


class Train(Section):
    preset: str
    # SQL over the table of episodes, as for `gripline select`; empty: all accepted ones.
    where: str
    # Normalise by a base checkpoint's statistics, a file in robots/statistics; empty: by the data's own.
    base_statistics: str
    loader: Loader
    seeds: tuple[int, ...]
    steps: Positive
    batch_size: Positive
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    warmup_steps: Count
    clip_norm: Annotated[float, Field(gt=0)]
    chunk: Positive
    huber_beta: Annotated[float, Field(gt=0)]
    # Image augmentation; `components/train/augment.py` says what each number means.
    shift_px: Count
    crop: Annotated[float, Field(ge=0, lt=1)]
    brightness: Share
    contrast: Share
    saturation: Share
    colour: Share
    state_noise: Annotated[float, Field(ge=0)]
    blind_steps: Positive

    @model_validator(mode="after")
    def _seeds_differ(self) -> Train:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds must be a non-empty list of different numbers")
        return self


class Export(Section):
    opset: Positive
    # Largest |ONNX - torch| over real episodes, per action dimension, in physical units.
    parity_max_abs: Annotated[float, Field(gt=0)]
    parity_samples: Positive


class Evaluate(Section):
    rollouts_per_task: Positive
    untrained_rollouts_per_task: Count
    seed: int
    # Control steps of a chunk that are executed before the next observation is sent.
    execute: Positive
    horizon: Positive


class Gate(Section):
    min_success: Share
    # On these tasks a policy must beat the blind one; elsewhere a blind policy does as well.
    vision_tasks: tuple[str, ...]
    confidence: Share


class Registry(Section):
    model: str


class Serving(Section):
    startup_timeout_s: Annotated[float, Field(gt=0)]
    request_timeout_s: Annotated[float, Field(gt=0)]
    warmup_requests: Positive


class Rollout(Section):
    shadow_requests: Positive
    canary_share: Annotated[float, Field(gt=0, lt=1)]
    min_episodes: Positive
    max_episodes: Positive
    # A candidate may be at most this much worse (success rate) and still be promoted.
    margin: Annotated[float, Field(gt=0, lt=1)]
    alpha_abort: Annotated[float, Field(gt=0, lt=1)]
    alpha_promote: Annotated[float, Field(gt=0, lt=1)]
    # Share of failed attempts that is still in order.
    error_rate: Annotated[float, Field(gt=0, lt=1)]
    robots: Positive
    seed: int
    lease_s: Annotated[float, Field(gt=0)]
    # How long a slot that gets no new episodes may take to end the running ones.
    drain_s: Annotated[float, Field(gt=0)]
    # A rollout without a finished episode for that long is paused: no data is never success.
    evidence_timeout_s: Annotated[float, Field(gt=0)]


class Cache(Section):
    """What is kept to save time; results never depend on it."""

    # Decoded frames on disk, at most; the least recently used go first.
    frames_gb: Annotated[float, Field(ge=0)]


class Params(Section):
    raw: Raw
    ingest: Ingest
    checks: Checks
    train: Train
    export: Export
    evaluate: Evaluate
    gate: Gate
    registry: Registry
    serving: Serving
    rollout: Rollout
    cache: Cache


def workers() -> int:
    """Processes that a stage may use: GRIPLINE_WORKERS, or one a core. Results never depend on it, so no parameter."""
    return max(1, int(os.environ.get("GRIPLINE_WORKERS") or os.cpu_count() or 1))


def load_params(path: Path) -> Params:
    """Reads params.yaml. Raises `ParamsError` naming each wrong key."""
    try:
        raw = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise ParamsError("no such file", where=str(path), hint="Run inside a gripline workspace") from error
    except yaml.YAMLError as error:
        raise ParamsError(f"not YAML: {error}", where=str(path)) from error
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors())
        raise ParamsError(wrong, where=str(path)) from error
