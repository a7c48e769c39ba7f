"""Whether data fit the statistics that a base checkpoint normalises by: dimension by dimension, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.dataset.stats import FeatureStats, RunningStats

FITS, SHIFTED, UNUSABLE = "fits", "shifted", "unusable"
_ORDER = (FITS, SHIFTED, UNUSABLE)


@dataclass(frozen=True)
class Limits:
    """Beyond the first number of a pair the data are shifted, beyond the second they are unusable.

    `mean_shift`: |mean - base mean| in base std; `std_ratio`: std / base std, and its inverse for shifted alone;
    `outside`: share of the values outside of the base's q01..q99 (2 % are by definition), or of its range where it
    has no quantiles; `still`: std below which a dimension does not move.
    """

    mean_shift: tuple[float, float] = (1.0, 5.0)
    std_ratio: tuple[float, float] = (2.0, 10.0)
    outside: tuple[float, float] = (0.10, 0.50)
    still: float = 1e-6


@dataclass(frozen=True)
class Dimension:
    """None: cannot be told. `still`: which side does not move: "", "data", "base" or "both"."""

    name: str
    mean_shift: float | None
    std_ratio: float | None
    outside: float | None
    still: str
    verdict: str


@dataclass(frozen=True)
class FeatureComparison:
    """`reason`: why there are no dimensions, "" where there are."""

    feature: str
    dimensions: tuple[Dimension, ...]
    reason: str = ""

    @property
    def verdict(self) -> str:
        return worst([UNUSABLE] if self.reason else [dimension.verdict for dimension in self.dimensions])


@dataclass(frozen=True)
class Comparison:
    """`only_data`, `only_base`: features that the other side lacks; they do not count."""

    features: tuple[FeatureComparison, ...]
    only_data: tuple[str, ...]
    only_base: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """The worst of all features; unusable where there is none in common."""
        return worst([feature.verdict for feature in self.features] or [UNUSABLE])

    def as_dict(self) -> dict[str, Any]:
        features = {
            feature.feature: {
                "verdict": feature.verdict,
                "reason": feature.reason,
                "dimensions": [asdict(dimension) for dimension in feature.dimensions],
            }
            for feature in self.features
        }
        lacking = {"only_data": list(self.only_data), "only_base": list(self.only_base)}
        return {"verdict": self.verdict, "features": features, **lacking}

    def markdown(self) -> str:
        """A table with a row for each dimension."""
        lines = ["| feature | dimension | mean shift (base std) | std ratio | outside | still | verdict |"]
        lines.append("|---|---|---|---|---|---|---|")
        for feature in self.features:
            if feature.reason:
                lines.append(f"| `{feature.feature}` | {feature.reason} | | | | | {feature.verdict} |")
            for one in feature.dimensions:
                share = "" if one.outside is None else f"{one.outside:.1%}"
                numbers = f"{_number(one.mean_shift)} | {_number(one.std_ratio)} | {share}"
                lines.append(f"| `{feature.feature}` | {one.name} | {numbers} | {one.still} | {one.verdict} |")
        lines += [f"\nOnly in the data: {', '.join(self.only_data)}"] if self.only_data else []
        lines += [f"\nOnly in the base: {', '.join(self.only_base)}"] if self.only_base else []
        return "\n".join(lines) + "\n"


def compare(
    data: Mapping[str, RunningStats | FeatureStats],
    base: Mapping[str, Mapping[str, npt.NDArray[Any]]],
    *,
    names: Mapping[str, Sequence[str]] | None = None,
    limits: Limits | None = None,
) -> Comparison:
    """Feature by feature of those that both have; `names`: feature -> names of its dimensions.

    Shares outside need `RunningStats`: finished statistics (`FeatureStats`) know no distribution.
    """
    features = tuple(
        _feature(key, data[key], base[key], (names or {}).get(key), limits or Limits())
        for key in sorted(data.keys() & base.keys())
    )
    return Comparison(features, tuple(sorted(data.keys() - base.keys())), tuple(sorted(base.keys() - data.keys())))


def worst(verdicts: Sequence[str]) -> str:
    return max(verdicts, key=_ORDER.index, default=FITS)


def _feature(
    key: str,
    data: RunningStats | FeatureStats,
    base: Mapping[str, npt.NDArray[Any]],
    names: Sequence[str] | None,
    limits: Limits,
) -> FeatureComparison:
    stats = data.result() if isinstance(data, RunningStats) else data
    width, base = stats["mean"].size, _without_padding(base, stats["mean"].size, limits)
    expected = len(next(iter(base.values())))
    if width != expected:
        return FeatureComparison(key, (), f"{width} dimensions, the base has {expected}")
    if not int(stats["count"].sum()):
        return FeatureComparison(key, (), "no value that counts")
    outside = _outside(data, base)
    mean, std = stats["mean"].ravel(), stats["std"].ravel()
    called = list(names) if names is not None and len(names) == width else [str(index) for index in range(width)]
    dimensions = (
        _dimension(
            called[at], (mean[at], std[at]), _moments(base, at), None if outside is None else outside[at], limits
        )
        for at in range(width)
    )
    return FeatureComparison(key, tuple(dimensions))


def _without_padding(
    base: Mapping[str, npt.NDArray[Any]], width: int, limits: Limits
) -> Mapping[str, npt.NDArray[Any]]:
    """Models of a fixed width have statistics of zeros behind those that count."""
    flat = {name: np.ravel(values) for name, values in base.items() if name != "count"}
    extra = [flat[name][width:] for name in ("mean", "std") if name in flat]
    if len(extra) == 2 and all((np.abs(values) <= limits.still).all() for values in extra):
        return {name: values[:width] for name, values in flat.items()}
    return flat


def _outside(data: RunningStats | FeatureStats, base: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64] | None:
    for low, high in (("q01", "q99"), ("min", "max")):
        if isinstance(data, RunningStats) and low in base and high in base:
            return data.sketch.share_outside(base[low], base[high])
    return None


def _moments(base: Mapping[str, npt.NDArray[Any]], at: int) -> tuple[float, float] | None:
    return (float(base["mean"][at]), float(base["std"][at])) if {"mean", "std"} <= base.keys() else None


def _dimension(
    name: str, data: tuple[float, float], base: tuple[float, float] | None, outside: float | None, limits: Limits
) -> Dimension:
    share = None if outside is None else float(outside)
    of_share = _judged(share, limits.outside)
    if base is None:
        return Dimension(name, None, None, share, "data" if data[1] <= limits.still else "", of_share)
    (mean, std), (base_mean, base_std) = (float(data[0]), float(data[1])), base
    data_still, base_still = std <= limits.still, base_std <= limits.still
    still = {(True, True): "both", (True, False): "data", (False, True): "base"}.get((data_still, base_still), "")
    if base_still:
        # Dividing by such a std turns any difference into a huge number.
        same = data_still and abs(mean - base_mean) <= limits.still * max(1.0, abs(base_mean))
        return Dimension(name, None, None, share, still, FITS if same else UNUSABLE)
    shift, ratio = abs(mean - base_mean) / base_std, std / base_std
    verdicts = [of_share, _judged(shift, limits.mean_shift)]
    if not data_still:
        verdicts += [_judged(ratio, limits.std_ratio), SHIFTED if ratio < 1 / limits.std_ratio[0] else FITS]
    return Dimension(name, shift, ratio, share, still, worst(verdicts))


def _judged(value: float | None, limits: tuple[float, float]) -> str:
    if value is None or value <= limits[0]:
        return FITS
    return SHIFTED if value <= limits[1] else UNUSABLE


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
