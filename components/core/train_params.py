"""The section `train` of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from components.core.section import Count, Positive, Section, Share

Sha256 = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]


class Loader(Section):
    """The order of training windows: these decide what a seed sees, and when."""

    # Consecutive frames that are decoded in one go.
    run_frames: Positive
    # Windows that are shuffled among each other, of many runs; about the frames in memory, twice.
    pool_windows: Positive
    # Rows of windows that a batch is put together from, in equal parts. Every process of a distributed run reads one or
    # more of them whole, so that the number of processes changes nothing.
    lanes: Positive = 1


class Normalise(Section):
    """How numbers reach the policy: states by mean and standard deviation, actions by the limits of the embodiment.

    `q01_q99` maps the 1 % and 99 % quantiles of the data to [-1, 1] and cuts what is beyond, as Open X-Embodiment does.
    """

    state: Literal["mean_std", "q01_q99"] = "mean_std"
    actions: Literal["limits", "q01_q99"] = "limits"


class Freeze(Section):
    """Parameters that stand still for a part of the training: in a step, those that a rule matches then."""

    # Pattern of parameter names, as in a shell: "eyes.*".
    match: str
    from_step: Count = 0
    # The first step that trains them; null: none does.
    until_step: Positive | None = None

    @model_validator(mode="after")
    def _forwards(self) -> Freeze:
        if self.until_step is not None and self.until_step <= self.from_step:
            raise ValueError(f"until_step {self.until_step} is not after from_step {self.from_step}")
        return self


class Lora(Section):
    """Low-rank adapters in place of whole matrices (Hu et al. 2021). 0 `rank`: none."""

    rank: Count = 0
    alpha: Annotated[float, Field(gt=0)] = 16.0
    # Patterns of names of Linear and Conv2d layers; what they do not match and no rule of `freeze` covers trains whole.
    match: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _somewhere(self) -> Lora:
        if bool(self.rank) != bool(self.match):
            raise ValueError("rank and match are given together: adapters stand beside layers")
        return self


class Pinned(Section):
    """Something that another run or another place made. The digest makes it part of what this run follows from."""

    # Below the workspace, or absolute.
    path: str = ""
    sha256: Sha256 = ""

    @model_validator(mode="after")
    def _pinned(self) -> Pinned:
        if bool(self.path) != bool(self.sha256):
            raise ValueError("path and sha256 are given together: what is not pinned cannot be reproduced")
        return self


class PartWeights(Section):
    """Weights of one part of a policy, in the layout of Hugging Face: config.json and safetensors."""

    # A folder below the workspace, or absolute.
    path: str = ""
    # Or "owner/name", "owner/name@revision" on the hub, which is looked for in the local cache.
    hub: str = ""
    # What `sha256sum` says of the weights file; of several, of its lines about all of them, by name.
    sha256: Sha256 = ""

    @model_validator(mode="after")
    def _one_place(self) -> PartWeights:
        if bool(self.path) == bool(self.hub):
            raise ValueError("exactly one of path and hub says where the weights are")
        return self


class Teacher(Pinned):
    """A bundle whose actions are a second target. `weight`: its share of the loss."""

    weight: Share = 0.5


class MixtureSource(Pinned):
    """Another dataset in the mixture; all its episodes count as accepted unless `verdicts` names a file of verdicts."""

    weight: Annotated[float, Field(gt=0)] = 1.0
    verdicts: str = ""


class Checkpoints(Section):
    """What is kept while a run trains."""

    # Steps between two states that a killed run goes on from, and between validations.
    every: Positive = 250
    # Checkpoints of the smallest held-out action error that stay beside the last one.
    keep_best: Count = 0
    # Which one becomes the policy.
    use: Literal["last", "best"] = "last"


class Strategy(Section):
    """Where a job trains. One process: jobs run side by side. More: one job after the other, over all of them."""

    kind: Literal["single", "ddp", "fsdp"] = "single"
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    # Processes, one a device, on each node.
    devices: Positive = 1
    nodes: Positive = 1


class External(Section):
    """A trainer of one's own in the place of ours: `docs/training/external.md` says what it is told and must leave."""

    # Program and arguments; {dataset}, {episodes}, {val_episodes}, {out}, {seed} and {params} are filled in.
    command: tuple[str, ...]
    # Files and folders that decide what the command does; their contents are part of what the run follows from.
    code: tuple[str, ...] = ()
    # Free settings, handed over as a JSON file.
    settings: dict[str, str | int | float | bool] = Field(default_factory=dict)


class Train(Section):
    preset: str
    # What the dataset has and the preset never reads. It has to be named, so that nobody believes it was used.
    unused: tuple[Literal["state", "instructions"], ...] = ()
    # SQL over the table of episodes, as for `gripline select`; empty: all accepted ones.
    where: str
    # Normalise by a base checkpoint's statistics, a file in robots/statistics; empty: by the data's own.
    base_statistics: str
    normalise: Normalise = Normalise()
    loader: Loader
    seeds: tuple[int, ...]
    steps: Positive
    batch_size: Positive
    # Batches of `batch_size` whose gradients make one step of the optimiser.
    accumulate: Positive = 1
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    warmup_steps: Count
    clip_norm: Annotated[float, Field(gt=0)]
    # bf16: the arithmetic of the layers; weights, their averages and the optimiser stay in float32.
    precision: Literal["fp32", "bf16"] = "fp32"
    # Decay of the moving average of the weights that becomes the policy; 0: the weights themselves do.
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    chunk: Positive
    huber_beta: Annotated[float, Field(gt=0)]
    # A window counts with the quality of its episode to this power (1 on average); 0: all count alike.
    quality_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    # Image augmentation; `components/train/augment.py` says what each number means.
    shift_px: Count
    crop: Annotated[float, Field(ge=0, lt=1)]
    brightness: Share
    contrast: Share
    saturation: Share
    colour: Share
    state_noise: Annotated[float, Field(ge=0)]
    # Share of windows whose instruction becomes another phrasing of the same task, out of the dataset's own.
    paraphrase: Share = 0.0
    freeze: tuple[Freeze, ...] = ()
    lora: Lora = Lora()
    # Weights to begin with, by the part of the policy that takes them: "tower", "trunk". `start_from` comes after them.
    pretrained: dict[str, PartWeights] = Field(default_factory=dict)
    # Whether what the local cache of the hub lacks may be fetched.
    allow_download: bool = False
    # A checkpoint to begin from, also one of another embodiment: what fits is taken over, and a report says what.
    start_from: Pinned = Pinned()
    teacher: Teacher = Teacher()
    # Weight of the workspace's own dataset in the mixture, and the others.
    own_weight: Annotated[float, Field(gt=0)] = 1.0
    mixture: tuple[MixtureSource, ...] = ()
    checkpoints: Checkpoints = Checkpoints()
    # Validations without a smaller held-out action error after which training ends; 0: it never ends early.
    early_stop: Count = 0
    # torch.compile of the policy, and how attention is computed where a preset has any.
    compile: bool = False
    attention: Literal["sdpa", "flex", "eager"] = "sdpa"
    strategy: Strategy = Strategy()
    # The controls: the same training without images, and without the instruction. 0 steps: none.
    blind_steps: Count
    wordless_steps: Count = 0
    external: External | None = None

    @model_validator(mode="after")
    def _whole(self) -> Train:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds must be a non-empty list of different numbers")
        if self.external is not None and self.mixture:
            raise ValueError("external takes the workspace's own dataset alone: clear mixture")
        if self.batch_size % self.loader.lanes:
            raise ValueError(f"batch_size {self.batch_size} is no multiple of loader.lanes {self.loader.lanes}")
        return self
