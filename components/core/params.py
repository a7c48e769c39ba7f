"""params.yaml as strict models: one section a stage, one place per number, unknown keys refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError

from components.core.errors import ParamsError
from components.core.section import Count, Positive, Section, Share
from components.core.train_params import Train


class Raw(Section):
    """Simulated demonstrations, recorded only where data/raw is empty."""

    tasks: tuple[str, ...]
    episodes_per_task: Positive
    seed: int
    # Noise on the executed action (the label stays clean), drawn per episode from U(0, max): DART, Laskey et al. 2017.
    execution_noise_max: Annotated[float, Field(ge=0)]
    noisy_share: Share
    # For how long the task stays done before the recorder stops: a policy learns to rest when it is done.
    hold_s: Annotated[float, Field(ge=0)]
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
    """Thresholds of the data checks. An episode that breaks one with severity error is quarantined.

    What says "usual" compares with the dataset itself, task by task, so that the numbers hold for any robot.
    """

    min_frames: Positive
    min_instruction_words: Positive
    # Largest distance of the hand from where it began, in metres; and over what is usual in the task.
    idle_motion_m: Annotated[float, Field(ge=0)]
    idle_motion_ratio: Share
    # Share of an episode for which a stream may be gone, and of the pictures that may show nothing at all.
    stream_gone_max: Share
    even_share_max: Share
    # Of the ticks in which the hand moves: those of the longest run of one picture, and of all other repeats.
    frozen_share_max: Share
    repeated_share_max: Share
    # Mean brightness, 0..255.
    black_level: Annotated[float, Field(ge=0)]
    black_share_max: Share
    # Usual share of fine detail over that of the episode.
    blur_max: Annotated[float, Field(ge=1)]
    # Away from the usual brightness, in factors of two.
    exposure_stops_max: Annotated[float, Field(gt=0)]
    # Most that a camera may look more like another one than like itself: difference of two correlations.
    camera_swap_max: Annotated[float, Field(ge=0, le=2)]
    dropped_share_max: Share
    clock_jitter_max: Annotated[float, Field(ge=0)]
    rate_tolerance: Share
    # Largest distance in time between a tick and a sample used for it that is no fault yet.
    misalignment_max_ms: Annotated[float, Field(gt=0)]
    # Ticks by which the lag from command to motion may differ from what is usual.
    action_lag_max_frames: Count
    # How far the command of a single tick may leave both its neighbours: Euclidean, in ranges of the commands.
    action_leap_max: Annotated[float, Field(gt=0)]
    # Largest step over the usual largest step, of any steady channel.
    state_jump_max: Annotated[float, Field(ge=1)]
    # Factor by which a channel may be larger or smaller than usual in start, place and motion alike.
    unit_ratio_max: Annotated[float, Field(ge=1)]
    # Share of an episode for which a channel may stand still longer than usual.
    stuck_excess_max: Share
    # Share of the way from what a gripper usually does to its opposite.
    gripper_inverted_max: Annotated[float, Field(ge=0)]
    # Share of motion and commands in the worst half of an episode that do not explain each other; and what is
    # suspicious, less half of that share in the rest of the episode.
    action_contradicted_max: Share
    action_unexplained_max: Annotated[float, Field(ge=0)]
    # How much better two dimensions may fit in each other's place.
    wrong_order_max: Annotated[float, Field(ge=0)]
    # Robust standard deviations from the task, over the three oddest features.
    outlier_score_max: Annotated[float, Field(gt=0)]
    # Shift of a robot's starts, in least shifts that count.
    calibration_drift_max: Annotated[float, Field(gt=0)]
    # Patterns of licences that forbid what the policy is for.
    licences_forbidden: tuple[str, ...]
    # Over the accepted episodes of each task. Phrasings in effect: 1 where one instruction is always used.
    min_episodes_per_task: Count
    min_robots_per_task: Count
    min_sites_per_task: Count
    min_phrasings_per_task: Annotated[float, Field(ge=0)]
    # Share of episodes that may be set aside: of all, and of each robot and site.
    max_quarantined_share: Share
    max_quarantined_share_of_robot: Share
    max_quarantined_share_of_site: Share
    # Different scenes and instructions that the accepted episodes must name.
    min_scenes: Count
    min_instructions: Count
    # Population stability index against the accepted version before; 0.25 is usually called a large shift.
    max_drift: Annotated[float, Field(gt=0)]
    # A verdict of these codes is counted and does not quarantine; limits of the dataset of these names do not fail it.
    warn: tuple[str, ...]


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
    # Control steps within which a success has to begin, and seconds that it must last to count.
    horizon: Positive
    hold_s: Annotated[float, Field(ge=0)]
    # Rollouts of each trained policy in every scene of two tasks, with the instruction of the other one; 0: none.
    swapped_rollouts_per_pair: Count


class Gate(Section):
    min_success: Share
    # On these tasks a policy must beat the blind one; elsewhere a blind policy does as well.
    vision_tasks: tuple[str, ...]
    # On these taken together a policy must beat the one that is told nothing; and told the other task of the scene, it
    # must do what it is told in at least this share of the rollouts.
    language_tasks: tuple[str, ...]
    min_swapped: Share
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
