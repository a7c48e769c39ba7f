"""What a robot can see and do, spelled out: part of the dataset, the bundle and the serving contract."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from components.core.errors import ContractError
from components.core.files import digest_json


@dataclass(frozen=True)
class ActionGroup:
    """A run of action dimensions that belong together (arm, gripper, base).

    `units`: physical unit of one count, or "normalised"; `representation`: absolute | step_delta | chunk_relative;
    `low`, `high`: limits per dimension, in the same units; what is sent to a robot never leaves them.
    """

    name: str
    names: tuple[str, ...]
    units: str
    frame: str
    representation: str
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.low) == len(self.high):
            raise ContractError(f"group {self.name!r}: names, low and high differ in length")


@dataclass(frozen=True)
class ActionSpec:
    groups: tuple[ActionGroup, ...]
    rate_hz: float
    controller: str
    gripper: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for group in self.groups for name in group.names)

    @property
    def low(self) -> tuple[float, ...]:
        return tuple(value for group in self.groups for value in group.low)

    @property
    def high(self) -> tuple[float, ...]:
        return tuple(value for group in self.groups for value in group.high)

    @property
    def dim(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class ObservationSpec:
    """`cameras` in the order in which the policy takes them; images are RGB uint8 [image_px, image_px, 3]."""

    cameras: tuple[str, ...]
    image_px: int
    state_names: tuple[str, ...]
    state_units: tuple[str, ...]


@dataclass(frozen=True)
class Embodiment:
    name: str
    observation: ObservationSpec
    action: ActionSpec

    @property
    def digest(self) -> str:
        return digest_json(asdict(self))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def embodiment_from_dict(value: dict[str, Any]) -> Embodiment:
    """Inverse of `Embodiment.as_dict` (JSON lists become tuples)."""
    fields = dict(value["action"])
    groups = tuple(ActionGroup(**_with_tuples(group)) for group in fields.pop("groups"))
    observation = ObservationSpec(**_with_tuples(value["observation"]))
    return Embodiment(value["name"], observation, ActionSpec(groups=groups, **fields))


def _with_tuples(value: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(item) if isinstance(item, list) else item for key, item in value.items()}


def require_same(expected: Embodiment, found: Embodiment, *, where: str) -> None:
    """Raises `ContractError` that names the first field in which two embodiments differ."""
    path = _first_difference(expected.as_dict(), found.as_dict(), expected.name)
    if path is not None:
        field, left, right = path
        raise ContractError(f"{field} is {right!r}, expected {left!r}", where=where)


def _first_difference(left: Any, right: Any, path: str) -> tuple[str, Any, Any] | None:
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys()):
            found = _first_difference(left.get(key), right.get(key), f"{path}.{key}")
            if found:
                return found
        return None
    if isinstance(left, list | tuple) and isinstance(right, list | tuple) and len(left) == len(right):
        for index, (one, other) in enumerate(zip(left, right, strict=True)):
            found = _first_difference(one, other, f"{path}[{index}]")
            if found:
                return found
        return None
    return None if left == right else (path, left, right)


# The simulated cell: a Sawyer arm moved by a mocap target. One action step moves the target by at most 1 cm for each of
# the four physics frames of a control step; the gripper dimension is an effort, positive closes.
SAWYER_CELL = Embodiment(
    name="sawyer-cell",
    observation=ObservationSpec(
        cameras=("fixed", "wrist"),
        image_px=96,
        state_names=("hand_x", "hand_y", "hand_z", "gripper_opening"),
        state_units=("m", "m", "m", "normalised"),
    ),
    action=ActionSpec(
        groups=(
            ActionGroup(
                "arm",
                ("dx", "dy", "dz"),
                "normalised (1 = 0.01 m a physics frame)",
                "world",
                "step_delta",
                (-1.0, -1.0, -1.0),
                (1.0, 1.0, 1.0),
            ),
            ActionGroup("gripper", ("effort",), "normalised effort", "gripper", "absolute", (-1.0,), (1.0,)),
        ),
        rate_hz=20.0,
        controller="mocap target position",
        gripper="+1 closes, -1 opens",
    ),
)

EMBODIMENTS: dict[str, Embodiment] = {SAWYER_CELL.name: SAWYER_CELL}


def embodiment(name: str) -> Embodiment:
    if name not in EMBODIMENTS:
        raise ContractError(f"no embodiment {name!r}; known: {', '.join(sorted(EMBODIMENTS))}")
    return EMBODIMENTS[name]
