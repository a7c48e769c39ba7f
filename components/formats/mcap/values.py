"""A decoded message as a row of numbers: what its type is for, or what the mapping selects."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from components.core.errors import EpisodeError
from components.formats.mapping import StreamRule
from components.formats.mcap.walk import Get, Row, fields_of, getter, number_fields, numbers_at

_XYZ = ("x", "y", "z")


def _under(parent: str, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{parent}.{name}" for name in names)


_POSE = (*_under("position", _XYZ), *_under("orientation", ("x", "y", "z", "w")))
_TRANSFORM = (*_under("translation", _XYZ), *_under("rotation", ("x", "y", "z", "w")))
_TWIST = (*_under("linear", _XYZ), *_under("angular", _XYZ))
_WRENCH = (*_under("force", _XYZ), *_under("torque", _XYZ))
_QUATERNION = ("x", "y", "z", "w")

# What is taken of a message where the mapping selects nothing. Quaternions are xyzw.
PATHS: dict[str, tuple[str, ...]] = {
    "sensor_msgs/JointState": ("position",),
    "geometry_msgs/Pose": _POSE,
    "geometry_msgs/PoseStamped": _under("pose", _POSE),
    "geometry_msgs/PoseWithCovarianceStamped": _under("pose.pose", _POSE),
    "geometry_msgs/Transform": _TRANSFORM,
    "geometry_msgs/TransformStamped": _under("transform", _TRANSFORM),
    "geometry_msgs/Twist": _TWIST,
    "geometry_msgs/TwistStamped": _under("twist", _TWIST),
    "geometry_msgs/Wrench": _WRENCH,
    "geometry_msgs/WrenchStamped": _under("wrench", _WRENCH),
    "geometry_msgs/Vector3": _XYZ,
    "geometry_msgs/Vector3Stamped": _under("vector", _XYZ),
    "geometry_msgs/Point": _XYZ,
    "geometry_msgs/PointStamped": _under("point", _XYZ),
    "geometry_msgs/Quaternion": _QUATERNION,
    "geometry_msgs/QuaternionStamped": _under("quaternion", _QUATERNION),
    "nav_msgs/Odometry": (*_under("pose.pose", _POSE), *_under("twist.twist", _TWIST)),
    "foxglove.Pose": _POSE,
    "foxglove.PoseInFrame": _under("pose", _POSE),
    "foxglove.Vector3": _XYZ,
    "foxglove.Point3": _XYZ,
    "foxglove.Quaternion": _QUATERNION,
}
_SCALARS = ("Bool", "Byte", "Char", "Float", "Int", "UInt")
FLOATS = tuple(f"std_msgs/Float{bits}{kind}" for bits in (32, 64) for kind in ("", "MultiArray"))
JOINT_STATE = "sensor_msgs/JointState"

_MOST_NUMBERS = 4096


def default_paths(type_name: str, message: Any) -> tuple[str, ...]:
    """Which fields of a message are its numbers: those that its type is for, else all that hold any."""
    known = PATHS.get(type_name)
    if known is not None:
        return known
    if type_name.startswith("std_msgs/") and type_name[9:].startswith(_SCALARS):
        return ("data",)
    return tuple(path for path, _ in number_fields(message))


class Rows:
    """Rows of numbers from the messages of a topic, in one order for the whole episode.

    What the first message holds decides: its type's own fields, or what `rule.select` names: a field by its dotted
    path, a joint by its name, a column by its number. `where` names file and topic.
    """

    def __init__(self, rule: StreamRule, type_name: str, where: str) -> None:
        self._rule, self._type, self._where = rule, type_name, where
        self._paths: tuple[str, ...] | None = None
        self._many: Get | None = None
        self._joints: list[str] = []
        self._chosen: list[str] = []

    def row(self, message: Any) -> Row:
        """Raises `EpisodeError` (wrong_names, missing_field, wrong_type)."""
        if self._paths is None:
            self._choose(message)
        try:
            row = self._numbers(message)
        except (AttributeError, KeyError, IndexError) as error:
            raise EpisodeError(
                f"a message has no {' or '.join(self._paths or ())}",
                where=self._where,
                hint=self._hint(message),
                code="missing_field",
            ) from error
        except (TypeError, ValueError, OverflowError) as error:
            raise EpisodeError(
                f"a message does not hold numbers ({error})", where=self._where, code="wrong_type"
            ) from error
        return self._ordered(message, row)

    def _choose(self, message: Any) -> None:
        words = [word for word in self._rule.select if isinstance(word, str)]
        if words and len(words) != len(self._rule.select):
            raise EpisodeError("`select` mixes columns and names", where=self._where, code="bad_mapping")
        joints = list(getattr(message, "name", ())) if self._type == JOINT_STATE else []
        if words and joints and all(word in joints for word in words):
            self._chosen = words
            words = []
        self._paths = tuple(words) or default_paths(self._type, message)
        if not self._paths:
            raise EpisodeError(
                f"{self._type or 'untyped'} messages hold no numbers", where=self._where, code="wrong_type"
            )
        if len(self._paths) > _MOST_NUMBERS:
            raise EpisodeError(f"a message holds {len(self._paths)} numbers", where=self._where, code="too_large")
        if not isinstance(message, dict) and not any(part.isdigit() for p in self._paths for part in p.split(".")):
            self._many = operator.attrgetter(*self._paths)
        if joints:
            known = self._rule.names if set(self._rule.names) == set(joints) or not self._chosen else joints
            self._joints = list(known or joints)

    def _numbers(self, message: Any) -> Row:
        assert self._paths is not None
        if self._many is not None and not isinstance(message, dict):
            found = self._many(message)
            values = (found,) if len(self._paths) == 1 else found
        else:
            values = tuple(getter(path)(message) for path in self._paths)
        row: Row = []
        for value in values:
            if type(value) is float:
                row.append(value)
            else:
                row += numbers_at(value)
        return row

    def _ordered(self, message: Any, row: Row) -> Row:
        """Joints in the order of the first message, or of the mapping's names."""
        if not self._joints:
            return row
        names = list(message.name)
        if names and names != self._joints:
            if sorted(names) != sorted(self._joints) or len(row) % len(names):
                raise EpisodeError(
                    f"names {', '.join(names)}, expected {', '.join(self._joints)}",
                    where=self._where,
                    code="wrong_names",
                )
            place = {name: index for index, name in enumerate(names)}
            order = [place[name] for name in self._joints]
            row = [row[base + index] for base in range(0, len(row), len(names)) for index in order]
        if self._chosen:
            if len(row) != len(self._joints):
                raise EpisodeError(
                    f"names {len(self._joints)} joints and holds {len(row)} positions",
                    where=self._where,
                    code="wrong_shape",
                )
            row = [row[self._joints.index(name)] for name in self._chosen]
        return row

    def _hint(self, message: Any) -> str:
        there = [name for name, _ in fields_of(message)][:12]
        return f"There are {', '.join(there)}" if there else "It has none"
