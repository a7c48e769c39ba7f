"""Physical units and gripper ranges: frozen steps with `apply` and `inverse`. Numpy only."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.core.errors import ContractError

Values = npt.NDArray[np.float64]

# Unit -> quantity and how many of its base unit it is. Time is always in seconds.
_LENGTHS = {"m": 1.0, "cm": 0.01, "mm": 0.001}
_ANGLES = {"rad": 1.0, "deg": math.pi / 180}
_KNOWN = {
    **{unit: ("length", size) for unit, size in _LENGTHS.items()},
    **{unit: ("angle", size) for unit, size in _ANGLES.items()},
    **{f"{unit}/s": ("speed", size) for unit, size in _LENGTHS.items()},
    **{f"{unit}/s": ("turning speed", size) for unit, size in _ANGLES.items()},
    "N": ("force", 1.0),
    "Nm": ("torque", 1.0),
}
_SPELLED = {"metre": "m", "meter": "m", "millimetre": "mm", "millimeter": "mm", "degree": "deg", "radian": "rad"}


def unit_name(units: str) -> str:
    """The unit without its explanation: "normalised (1 = 0.01 m)" -> "normalised", "degrees" -> "deg"."""
    name = units.split(" (")[0].strip()
    return _SPELLED.get(name.removesuffix("s"), name)


def quantity(units: str) -> str:
    """ "length", "angle", "speed", "turning speed", "force" or "torque"; "" for units that measure nothing of these."""
    return _KNOWN.get(unit_name(units), ("", 0.0))[0]


def convertible(found: str, expected: str) -> bool:
    """Whether `ConvertUnits` takes the two: the same unit, or two of one quantity."""
    return unit_name(found) == unit_name(expected) or (quantity(found) != "" and quantity(found) == quantity(expected))


@dataclass(frozen=True)
class ConvertUnits:
    """[...] in `found` -> [...] in `expected`; `inverse` is exact within 1e-15 of the value.

    Units of two quantities are a `ContractError`.
    """

    found: str
    expected: str

    def __post_init__(self) -> None:
        if not convertible(self.found, self.expected):
            raise ContractError(f"units are {self.found!r}, which cannot become {self.expected!r}")

    @property
    def factor(self) -> float:
        found, expected = unit_name(self.found), unit_name(self.expected)
        return 1.0 if found == expected else _KNOWN[found][1] / _KNOWN[expected][1]

    def apply(self, values: npt.NDArray[np.floating]) -> Values:
        return np.asarray(values, dtype=np.float64) * self.factor

    def inverse(self, values: npt.NDArray[np.floating]) -> Values:
        return np.asarray(values, dtype=np.float64) / self.factor


@dataclass(frozen=True)
class GripperRange:
    """Maps `found` [open, closed] linearly onto `expected` [open, closed], sign included; nothing is cut.

    `inverse` is exact within 1e-12 of the larger range. A range without width is a `ContractError`.
    """

    found: tuple[float, float]
    expected: tuple[float, float]

    def __post_init__(self) -> None:
        for opened, closed in (self.found, self.expected):
            if not (math.isfinite(opened) and math.isfinite(closed)) or opened == closed:
                raise ContractError(f"a gripper cannot be open at {opened} and closed at {closed}")

    def apply(self, values: npt.NDArray[np.floating]) -> Values:
        return _mapped(values, self.found, self.expected)

    def inverse(self, values: npt.NDArray[np.floating]) -> Values:
        return _mapped(values, self.expected, self.found)


def _mapped(values: npt.NDArray[np.floating], found: tuple[float, float], expected: tuple[float, float]) -> Values:
    array = np.asarray(values, dtype=np.float64)
    if found == expected:
        return array
    share = (array - found[0]) / (found[1] - found[0])
    return expected[0] + share * (expected[1] - expected[0])
