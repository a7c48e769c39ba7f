"""Rotations in the forms of `core.spec.ROTATIONS`. Numpy only; unit quaternions lie between every two forms.

    quaternion_xyzw, quaternion_wxyz   4 numbers; q and -q are one rotation
    euler_xyz                          3 angles in rad about the fixed axes x, y, z in this order: Rz @ Ry @ Rx, the
                                       roll, pitch, yaw of URDF
    axis_angle                         3 numbers: the axis times the angle in rad
    matrix                             9 numbers, row after row
    rot6d                              6 numbers: the first column of the matrix and then the second (Zhou et al. 2019)

Arrays are float64 [..., width]; what is not a rotation (a quaternion of zeros, NaN) gives NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.core.errors import ContractError
from components.core.spec import ROTATION_WIDTHS

Values = npt.NDArray[np.float64]

_XYZW = "quaternion_xyzw"
_WXYZ = "quaternion_wxyz"
# Below this angle the sine is its argument in float64.
_SMALL = 1e-8


@dataclass(frozen=True)
class ConvertRotation:
    """One form to another.

    `inverse` gives back the same rotation within 1e-7 rad, though not always the same numbers: q and -q, and all ways
    to write an angle, are one rotation.
    """

    found: str
    expected: str

    def __post_init__(self) -> None:
        for form in (self.found, self.expected):
            _require_form(form)

    def apply(self, values: npt.NDArray[np.floating]) -> Values:
        """[..., width of `found`] -> float64 [..., width of `expected`]. The same form comes back untouched."""
        return _convert(values, self.found, self.expected)

    def inverse(self, values: npt.NDArray[np.floating]) -> Values:
        return _convert(values, self.expected, self.found)


def _require_form(form: str) -> None:
    if form not in ROTATION_WIDTHS:
        raise ContractError(f"rotation is {form!r}, expected one of {', '.join(ROTATION_WIDTHS)}")


def _convert(values: npt.NDArray[np.floating], found: str, expected: str) -> Values:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0 or array.shape[-1] != ROTATION_WIDTHS[found]:
        raise ContractError(f"a {found} has {ROTATION_WIDTHS[found]} numbers, found shape {list(array.shape)}")
    if found == expected:
        return array
    if {found, expected} == {_XYZW, _WXYZ}:
        return array[..., [3, 0, 1, 2] if expected == _WXYZ else [1, 2, 3, 0]]
    return from_quaternion(to_quaternion(array, found), expected)


def to_quaternion(values: Values, form: str) -> Values:
    """[..., width of `form`] -> unit quaternions [..., 4], xyzw."""
    if form == _XYZW:
        return _unit(values)
    if form == _WXYZ:
        return _unit(values[..., [1, 2, 3, 0]])
    if form == "euler_xyz":
        about_x, about_y, about_z = (_about(axis, values[..., axis]) for axis in range(3))
        return multiply(about_z, multiply(about_y, about_x))
    if form == "axis_angle":
        angle = np.linalg.norm(values, axis=-1, keepdims=True)
        small = angle < _SMALL
        scale = np.where(small, 0.5, np.sin(angle / 2) / np.where(small, 1.0, angle))
        return _unit(np.concatenate([values * scale, np.cos(angle / 2)], axis=-1))
    _require_form(form)
    return _of_matrix(_columns_to_matrix(values) if form == "rot6d" else values.reshape(*values.shape[:-1], 3, 3))


def from_quaternion(quaternion: Values, form: str) -> Values:
    """Quaternions [..., 4], xyzw -> [..., width of `form`]; an axis_angle turns by at most pi."""
    q = _unit(quaternion)
    if form == _XYZW:
        return q
    if form == _WXYZ:
        return q[..., [3, 0, 1, 2]]
    if form == "axis_angle":
        q = np.where(q[..., 3:] < 0, -q, q)
        sine = np.linalg.norm(q[..., :3], axis=-1, keepdims=True)
        small = sine < _SMALL
        scale = np.where(small, 2.0, 2 * np.arctan2(sine, q[..., 3:]) / np.where(small, 1.0, sine))
        return q[..., :3] * scale
    _require_form(form)
    if form == "euler_xyz":
        return _euler(q)
    matrix = _matrix(q)
    if form == "rot6d":
        return np.concatenate([matrix[..., :, 0], matrix[..., :, 1]], axis=-1)
    return matrix.reshape(*matrix.shape[:-2], 9)


def multiply(left: Values, right: Values) -> Values:
    """Quaternions [..., 4], xyzw: turn by `right`, then by `left`."""
    x1, y1, z1, w1 = np.moveaxis(left, -1, 0)
    x2, y2, z2, w2 = np.moveaxis(right, -1, 0)
    return np.stack(
        [
            w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
            w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
            w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
            w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
        ],
        axis=-1,
    )


def invert(quaternion: Values) -> Values:
    """Unit quaternions [..., 4], xyzw."""
    return quaternion * np.array([-1.0, -1.0, -1.0, 1.0])


def slerp(start: Values, end: Values, share: Values) -> Values:
    """Unit quaternions [..., 4] in either order, `share` [...] in [0, 1] of the shorter way from `start` to `end`.

    At share 0 `start` comes back as it is, at share 1 `end`, with the sign that lies on the way.
    """
    dot = np.sum(start * end, axis=-1, keepdims=True)
    end = np.where(dot < 0, -end, end)
    # The chords keep the angle exact where the arc cosine loses half of its digits.
    angle = 2 * np.arctan2(np.linalg.norm(end - start, axis=-1), np.linalg.norm(end + start, axis=-1))[..., None]
    part, small = np.asarray(share)[..., None], angle < _SMALL
    sine = np.where(small, 1.0, np.sin(angle))
    first = np.where(small, 1 - part, np.sin((1 - part) * angle) / sine)
    last = np.where(small, part, np.sin(part * angle) / sine)
    return np.where(part == 0, start, first * start + last * end)


def angle_between(left: Values, right: Values) -> Values:
    """[...] rad in [0, pi] between quaternions [..., 4] of the same order."""
    one, other = _unit(left), _unit(right)
    other = np.where(np.sum(one * other, axis=-1, keepdims=True) < 0, -other, other)
    return 4 * np.arctan2(np.linalg.norm(other - one, axis=-1), np.linalg.norm(other + one, axis=-1))


def _unit(quaternion: Values) -> Values:
    with np.errstate(invalid="ignore", divide="ignore"):
        return quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True)


def _about(axis: int, angle: Values) -> Values:
    quaternion = np.zeros((*angle.shape, 4))
    quaternion[..., axis], quaternion[..., 3] = np.sin(angle / 2), np.cos(angle / 2)
    return quaternion


def _matrix(q: Values) -> Values:
    x, y, z, w = np.moveaxis(q, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _of_matrix(m: Values) -> Values:
    """Shepperd's method: of four ways that are all right on paper, the one that divides by the largest number."""
    trace = np.trace(m, axis1=-2, axis2=-1)
    x, y, z = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    ways = [
        [1 + 2 * x - trace, xy, xz, wx],
        [xy, 1 + 2 * y - trace, yz, wy],
        [xz, yz, 1 + 2 * z - trace, wz],
        [wx, wy, wz, 1 + trace],
    ]
    stacked = np.stack([np.stack(way, axis=-1) for way in ways], axis=-2)
    best = np.argmax(np.stack([x, y, z, trace], axis=-1), axis=-1)
    return _unit(np.take_along_axis(stacked, best[..., None, None], axis=-2)[..., 0, :])


def _columns_to_matrix(values: Values) -> Values:
    """Gram-Schmidt, so that six numbers that a network made up give a rotation too."""
    with np.errstate(invalid="ignore", divide="ignore"):
        first = values[..., :3] / np.linalg.norm(values[..., :3], axis=-1, keepdims=True)
        second = values[..., 3:] - np.sum(first * values[..., 3:], axis=-1, keepdims=True) * first
        second = second / np.linalg.norm(second, axis=-1, keepdims=True)
    return np.stack([first, second, np.cross(first, second)], axis=-1)


def _euler(q: Values) -> Values:
    """Bernardes and Viollet (2022): half sums and differences of roll and yaw stay exact where the two are one."""
    x, y, z, w = np.moveaxis(q, -1, 0)
    a, b, c, d = w - y, x + z, w + y, z - x
    half_sum, half_difference = np.arctan2(b, a), np.arctan2(d, c)
    about_y = 2 * np.arctan2(np.hypot(c, d), np.hypot(a, b)) - np.pi / 2
    turns = np.stack([half_sum - half_difference, about_y, half_sum + half_difference], axis=-1)
    return (turns + np.pi) % (2 * np.pi) - np.pi
