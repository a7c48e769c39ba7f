"""The tables and sentences of `gripline dataset stats`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from components.dataset.statistics.compare import FITS, SHIFTED, Comparison
from components.dataset.statistics.representation import ActionStatistics
from components.dataset.stats import RunningStats

SHOWN = ("mean", "std", "min", "q01", "q50", "q99", "max")
# Up to so many steps of a chunk are all shown.
_STEPS = 3
# Dimensions that a sentence names.
_NAMED = 4

Table = tuple[list[str], list[list[str]]]


def feature_rows(running: Mapping[str, RunningStats], names: Mapping[str, Sequence[str]]) -> Table:
    """Columns, and a row for each dimension of each feature."""
    rows = [[key, *row] for key, found in running.items() for row in _dimensions(found, names.get(key))]
    return ["feature", "dimension", *SHOWN], rows


def shown_steps(horizon: int) -> list[int]:
    """All steps of a short chunk; of a long one the first, the middle and the last."""
    return list(range(horizon)) if horizon <= _STEPS else [0, horizon // 2, horizon - 1]


def action_rows(actions: ActionStatistics, names: Sequence[str]) -> Table:
    """Columns, and a row for each dimension of each shown step; those of a chunk also for all steps together."""
    if actions.horizon == 1:
        return ["dimension", *SHOWN], _dimensions(actions.steps[0], names)
    rows = [
        [str(step), *row] for step in shown_steps(actions.horizon) for row in _dimensions(actions.steps[step], names)
    ]
    rows += [["all", *row] for row in _dimensions(actions.overall(), names)]
    return ["step", "dimension", *SHOWN], rows


def action_title(actions: ActionStatistics) -> str:
    relative = [f"{group} to the {what}" for group, what in actions.references.items() if what]
    title = f"actions as {actions.representation}"
    title += f", {actions.horizon} steps a chunk" if actions.horizon > 1 else ""
    return title + (f", relative: {', '.join(relative)}" if relative else "")


def action_remark(actions: ActionStatistics) -> str:
    """Which steps the table leaves out; "" where it leaves out none."""
    steps = shown_steps(actions.horizon)
    if len(steps) == actions.horizon:
        return ""
    return f"shown are the steps {', '.join(map(str, steps))} of 0 to {actions.horizon - 1}; --json has each\n"


def comparison_rows(comparison: Comparison) -> Table:
    """Columns, and a row for each dimension that both sides have."""
    rows = []
    for feature in comparison.features:
        if feature.reason:
            rows.append([feature.feature, feature.reason, "", "", "", "", feature.verdict])
        for one in feature.dimensions:
            share = "" if one.outside is None else f"{one.outside:.1%}"
            numbers = _number(one.mean_shift), _number(one.std_ratio)
            rows.append([feature.feature, one.name, *numbers, share, one.still, one.verdict])
    return ["feature", "dimension", "mean shift (base std)", "std ratio", "outside", "still", "verdict"], rows


def verdict_sentence(comparison: Comparison) -> str:
    """The verdict, what it rests on and what follows of it."""
    verdict = comparison.verdict
    if not comparison.features:
        return f"the base checkpoint: {verdict}. It has no feature in common with the data."
    if verdict == FITS:
        return "the base checkpoint: fits. The data can be normalised by its statistics."
    found = [
        f"{feature.feature}: {feature.reason or _listed([d.name for d in feature.dimensions if d.verdict == verdict])}"
        for feature in comparison.features
        if feature.verdict == verdict
    ]
    what = f"{'; '.join(found)}."
    if verdict == SHIFTED:
        return f"the base checkpoint: shifted. Its statistics can be used, but the data differ in {what}"
    follows = "Normalise by the data's own, or see whether units, representation and order of the dimensions agree."
    return f"the base checkpoint: unusable. Its statistics cannot normalise these data: {what} {follows}"


def lacking(comparison: Comparison) -> str:
    """Features that only one side has, a line each."""
    sides = {"the data": comparison.only_data, "the base": comparison.only_base}
    return "".join(f"only in {side}: {', '.join(names)}\n" for side, names in sides.items() if names)


def _dimensions(running: RunningStats, names: Sequence[str] | None) -> list[list[str]]:
    stats = running.result()
    # Statistics of no value are all 0; a step longer than every episode has none.
    counted = bool(int(stats["count"].sum()))
    columns = np.stack([np.ravel(stats[name]) for name in SHOWN], axis=1)
    return [
        [names[at] if names else str(at), *(f"{value:.4g}" if counted else "" for value in row)]
        for at, row in enumerate(columns.tolist())
    ]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
