"""What a robot can see and do, spelled out: part of the dataset, the bundle and the serving contract."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from components.core.errors import ContractError
from components.core.files import digest_json

# Forms of a rotation and how many numbers each takes; `transforms.rotations` says what they are.
ROTATION_WIDTHS = {"quaternion_xyzw": 4, "quaternion_wxyz": 4, "euler_xyz": 3, "axis_angle": 3, "matrix": 9, "rot6d": 6}
ROTATIONS = tuple(ROTATION_WIDTHS)
REPRESENTATIONS = ("absolute", "step_delta", "chunk_relative")
INTERPOLATIONS = ("linear", "slerp", "previous", "nearest")


@dataclass(frozen=True)
class ActionGroup:
    """A run of action dimensions that belong together (arm, second arm, gripper, base).

    `units`: physical unit of one count, or "normalised"; `representation`: one of `REPRESENTATIONS`; `low`, `high`:
    limits per dimension, in the same units; what is sent to a robot never leaves them. `stream`: the stream of a
    recording that it is cut from; groups of one stream take its columns one after the other. `rotation`: one of
    `ROTATIONS` where the group is one; `measured`: what the robot did, not what it was told. `gripper_open`,
    `gripper_closed`: the values of a gripper that is wholly open or closed.
    """

    name: str
    names: tuple[str, ...]
    units: str
    frame: str
    representation: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    stream: str = "action"
    rotation: str = ""
    measured: bool = False
    gripper_open: float | None = None
    gripper_closed: float | None = None

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.low) == len(self.high):
            raise ContractError(f"group {self.name!r}: names, low and high differ in length")
        _require_one_of(f"group {self.name!r}: representation", self.representation, REPRESENTATIONS)
        _require_rotation(f"group {self.name!r}", self.rotation, self.names)
        _require_gripper(f"group {self.name!r}", self.gripper_open, self.gripper_closed)


@dataclass(frozen=True)
class StateGroup:
    """A run of state dimensions, cut from stream `stream` of a recording as `ActionGroup` is.

    `interpolate`: how values between samples come about, one of `INTERPOLATIONS`; slerp is for quaternions alone.
    `gripper_open`, `gripper_closed`: as in `ActionGroup`. `low`, `high`: what the robot can reach, per dimension, for
    the checks; where absent, the limits of absolute commands of the same names.
    """

    name: str
    names: tuple[str, ...]
    units: str
    stream: str
    interpolate: str = "linear"
    rotation: str = ""
    gripper_open: float | None = None
    gripper_closed: float | None = None
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.low or self.high:
            if not len(self.names) == len(self.low) == len(self.high):
                raise ContractError(f"state group {self.name!r}: names, low and high differ in length")
            if any(low >= high for low, high in zip(self.low, self.high, strict=True)):
                raise ContractError(f"state group {self.name!r}: a limit low is not below its high")
        _require_one_of(f"state group {self.name!r}: interpolate", self.interpolate, INTERPOLATIONS)
        _require_rotation(f"state group {self.name!r}", self.rotation, self.names)
        _require_gripper(f"state group {self.name!r}", self.gripper_open, self.gripper_closed)
        if self.interpolate == "slerp" and self.rotation not in ("quaternion_xyzw", "quaternion_wxyz"):
            raise ContractError(f"state group {self.name!r}: slerp needs rotation: quaternion_xyzw or quaternion_wxyz")


def _require_one_of(what: str, found: str, allowed: tuple[str, ...]) -> None:
    if found not in allowed:
        raise ContractError(f"{what} is {found!r}, expected one of {', '.join(name or 'nothing' for name in allowed)}")


def _require_rotation(what: str, rotation: str, names: tuple[str, ...]) -> None:
    _require_one_of(f"{what}: rotation", rotation, ("", *ROTATIONS))
    if rotation and len(names) != ROTATION_WIDTHS[rotation]:
        raise ContractError(f"{what}: a {rotation} has {ROTATION_WIDTHS[rotation]} names, found {len(names)}")


def _require_gripper(what: str, opened: float | None, closed: float | None) -> None:
    if (opened is None) != (closed is None):
        raise ContractError(f"{what}: gripper_open and gripper_closed are given together or not at all")
    if opened is not None and opened == closed:
        raise ContractError(f"{what}: gripper_open and gripper_closed are both {opened}")


@dataclass(frozen=True)
class ActionSpec:
    """`rate_hz`: actions a second, the rate of a dataset of this embodiment unless another is chosen.

    `controller`: what turns an action into motion, and in which mode; `interpolation`: what the robot does between two.
    """

    groups: tuple[ActionGroup, ...]
    rate_hz: float
    controller: str
    interpolation: str = "hold"

    def __post_init__(self) -> None:
        if not self.groups:
            raise ContractError("action.groups is empty: a robot does something")
        if not self.rate_hz > 0:
            raise ContractError(f"action.rate_hz is {self.rate_hz}, it must be above 0")

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
    """`cameras` in the order in which the policy takes them; images are RGB uint8 [image_px, image_px, 3].

    `state`: what makes up the state vector, in order; `kept`: numeric streams that go into the dataset beside it, each
    as a feature of its own (`observation.<stream>`); `depth`: depth cameras, kept losslessly in millimetres.
    """

    cameras: tuple[str, ...]
    image_px: int
    state: tuple[StateGroup, ...]
    kept: tuple[StateGroup, ...] = ()
    depth: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        pictures = (*self.cameras, *self.depth)
        for name in pictures:
            if pictures.count(name) > 1:
                raise ContractError(f"observation: camera {name!r} is named twice")
        for group in self.kept:
            # The dataset has columns of these names.
            if group.stream in ("state", "time", "images"):
                raise ContractError(
                    f"kept group {group.name!r}: a feature observation.{group.stream} is there already",
                    hint="Give the stream another name in its mapping",
                )

    @property
    def state_names(self) -> tuple[str, ...]:
        return tuple(name for group in self.state for name in group.names)

    @property
    def state_units(self) -> tuple[str, ...]:
        """One unit per name."""
        return tuple(group.units for group in self.state for _ in group.names)


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
    action, seen = dict(value["action"]), dict(value["observation"])
    groups = tuple(ActionGroup(**_with_tuples(group)) for group in action.pop("groups"))
    for name in ("state", "kept"):
        seen[name] = tuple(StateGroup(**_with_tuples(group)) for group in seen.get(name, ()))
    return Embodiment(
        value["name"], ObservationSpec(**_with_tuples(seen)), ActionSpec(groups=groups, **_with_tuples(action))
    )


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
# the four physics frames of a control step; the gripper dimension is an effort, positive closes. Joint limits: Sawyer's
# URDF, Rethink Robotics.
SAWYER_CELL = Embodiment(
    name="sawyer-cell",
    observation=ObservationSpec(
        cameras=("fixed", "wrist"),
        image_px=96,
        state=(
            StateGroup("hand", ("hand_x", "hand_y", "hand_z"), "m", "hand"),
            StateGroup(
                "gripper",
                ("gripper_opening",),
                "normalised",
                "gripper",
                interpolate="previous",
                gripper_open=1.0,
                gripper_closed=0.0,
            ),
        ),
        kept=(
            StateGroup(
                "joints",
                tuple(f"joint_{number}" for number in range(7)),
                "rad",
                "joints",
                low=(-3.0503, -3.8095, -3.0426, -3.0439, -2.9761, -2.9761, -4.7124),
                high=(3.0503, 2.2736, 3.0426, 3.0439, 2.9761, 2.9761, 4.7124),
            ),
        ),
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
            ActionGroup(
                "gripper",
                ("effort",),
                "normalised effort",
                "gripper",
                "absolute",
                (-1.0,),
                (1.0,),
                gripper_open=-1.0,
                gripper_closed=1.0,
            ),
        ),
        rate_hz=20.0,
        controller="mocap target position",
    ),
)
