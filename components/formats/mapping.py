"""Which topic, dataset, key or feature of a file becomes which stream of an episode; the same model for all formats.

A mapping comes from `--map`, from a team's `robots/maps/*.yaml`, from those that come with gripline, or from a guess of
the reader, in this order. `gripline inspect` shows the one that rules.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.core.episode import StreamKind
from components.core.errors import UsageError

PROVENANCE_KEYS = (
    "robot_id",
    "collector_id",
    "site",
    "scene",
    "recorded_at",
    "licence",
    "consent_ref",
    "calibration_digest",
    "outcome",
)
# What a mapping may say for a recording that does not say it itself.
CONSTANT_KEYS = ("task", "instruction", "embodiment", *PROVENANCE_KEYS)
# A built-in mapping speaks for a file that has at least this share of its sources.
_ENOUGH = 0.5
_BUILT_IN = Path(__file__).with_name("mappings")


class Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class StreamRule(Rule):
    """One stream. `source`: topic, dataset path below the episode, RLDS key below `steps` ("observation/image_0") or
    LeRobot feature.

    `select`: which numbers of a sample, in this order: columns (1), names of a joint, or fields of a message
    ("pose.position.x"); all of them where absent. `names`: what the numbers are, in this order, where a file may name
    them in another. `time`: HDF5 dataset or LeRobot feature with this stream's own clock. `units`, `rotation`,
    `representation`, `gripper` [open, closed]: how the numbers are to be understood, see `core.spec`.
    `values`: for kind control, what the file says -> policy | human | blend | reset.
    """

    source: str = Field(validation_alias="from", serialization_alias="from")
    kind: StreamKind
    select: tuple[int | str, ...] = ()
    names: tuple[str, ...] = ()
    time: str = ""
    units: str = ""
    rotation: str = ""
    representation: str = ""
    gripper: tuple[float, float] | None = None
    values: dict[str, Literal["policy", "human", "blend", "reset"]] = Field(default_factory=dict)
    # Colour order of raw image arrays.
    order: Literal["rgb", "bgr"] = "rgb"
    # Whether pictures are stored upside down.
    flip: bool = False


class EpisodeRule(Rule):
    """What marks an episode in a long recording.

    `file`: the whole file is one. `marker`: `topic` carries a message whose text (or boolean) is in `start` when one
    begins and in `stop` when it ends; a start ends the one before. `gap`: it ends where the action stream, or `topic`,
    is silent for `gap_s`. Shorter ones than `min_s` are dropped and counted. A cut list overrides all of it.
    """

    by: Literal["file", "marker", "gap"] = "file"
    topic: str = ""
    start: tuple[str, ...] = ("start", "true", "1")
    stop: tuple[str, ...] = ("stop", "end", "success", "failure", "abort", "false", "0")
    gap_s: float = Field(default=2.0, gt=0)
    min_s: float = Field(default=0.5, ge=0)


class Mapping(Rule):
    """`match`: glob over the name of a source; `format`: formats that it is for, all where empty.

    `clock`: which time of a message rules: the sensor's in its header (its log time where it has no header), or when it
    was logged or published. `rate_hz`: for files without any clock; `time`: HDF5 dataset or RLDS key that holds one.
    `instruction`, `task`: topic, attribute, dataset or key that holds it. `constants`: see `CONSTANT_KEYS`. Without
    `streams` those of the built-in mapping or the guess hold, and the rest is said on top of it (`over`).
    """

    name: str = ""
    match: str = "*"
    format: tuple[str, ...] = ()
    clock: Literal["header", "log", "publish"] = "header"
    rate_hz: float | None = Field(default=None, gt=0)
    time: str = ""
    episode: EpisodeRule = EpisodeRule()
    instruction: str = ""
    task: str = ""
    constants: dict[str, str] = Field(default_factory=dict)
    streams: dict[str, StreamRule] = Field(default_factory=dict)

    def over(self, guessed: Mapping) -> Mapping:
        """`guessed` with everything that this one says."""
        return guessed.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(sorted({rule.source for rule in self.streams.values()}))

    def as_yaml(self) -> str:
        plain = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)


def load_mappings(path: Path) -> tuple[Mapping, ...]:
    """One mapping, or a list of them under `mappings`, from a YAML file. Raises `UsageError` naming each wrong key."""
    try:
        raw = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise UsageError("no such file", where=str(path)) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"cannot be read as YAML ({' '.join(str(error).split())})", where=str(path)) from error
    entries = raw["mappings"] if isinstance(raw, dict) and set(raw) == {"mappings"} else [raw]
    if not isinstance(entries, list):
        raise UsageError("mappings: expected a list", where=str(path))
    return tuple(_validated(entry, path) for entry in entries)


def mappings_in(folder: Path) -> tuple[Mapping, ...]:
    """Those of all YAML files of a folder, sorted by name; none where there is no folder."""
    return tuple(mapping for path in sorted(folder.glob("*.yaml")) for mapping in load_mappings(path))


def _validated(entry: Any, path: Path) -> Mapping:
    try:
        found = Mapping.model_validate(entry)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors())
        raise UsageError(wrong, where=str(path)) from error
    wrong_keys = sorted(set(found.constants) - set(CONSTANT_KEYS))
    if wrong_keys:
        raise UsageError(f"constants: unknown {', '.join(wrong_keys)}", where=str(path))
    return found if found.name else found.model_copy(update={"name": path.stem})


@cache
def built_in_mappings() -> tuple[Mapping, ...]:
    return mappings_in(_BUILT_IN)


def given_mapping(mappings: Sequence[Mapping], uri: str, format_: str) -> Mapping | None:
    """The first of a team's own mappings that speaks for a source."""
    fitting = (m for m in mappings if fnmatch.fnmatch(uri, m.match) and (not m.format or format_ in m.format))
    return next(fitting, None)


def fitting_mapping(available: Iterable[str], format_: str) -> Mapping | None:
    """The mapping that comes with gripline of whose sources most are `available`, where that is at least half."""
    there = set(available)
    scored = []
    for mapping in built_in_mappings():
        if format_ in mapping.format:
            share = len(there & set(mapping.sources)) / len(mapping.sources)
            scored.append((share, mapping.name, mapping))
    share, _, best = max(scored, key=lambda entry: entry[:2], default=(0.0, "", None))
    return best if share >= _ENOUGH else None


def short_name(source: str, taken: Iterable[str]) -> str:
    """A stream's name by the telling parts of its source, unique among `taken` ("/cam/left/compressed": "cam_left")."""
    dull = {"observation", "observations", "obs", "images", "image_raw", "compressed", "raw", "steps"}
    words = [word for word in source.replace(".", "/").strip("/").split("/") if word]
    telling = [word for word in words if word not in dull] or words or ["stream"]
    clean = "_".join("".join(c if c.isalnum() else "_" for c in word) for word in telling)
    name, number, used = clean, 2, set(taken)
    while name in used:
        name, number = f"{clean}_{number}", number + 1
    return name
