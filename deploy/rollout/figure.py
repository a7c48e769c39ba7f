"""The picture of a rollout: who served when, how the evidence grew, and how the episodes ended."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from deploy.rollout.facts import Curve, Facts
from deploy.rollout.judge import CANDIDATE, INCUMBENT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {CANDIDATE: "#c4571b", INCUMBENT: "#33658a"}
_BAND = ("#f3f5f7", "#e4e9ee")
_ALARM, _GOOD, _QUIET = "#a4262c", "#0b6e4f", "#7a5195"


def draw(facts: Facts, kind: str) -> bytes:
    """The picture as "svg" or "png" bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 7.6), layout="constrained")
    FigureCanvasAgg(figure)
    shares, evidence, tasks = figure.subplots(3, 1, height_ratios=(1.0, 2.0, 1.6))
    evidence.sharex(shares)
    _draw_shares(shares, facts)
    _draw_evidence(evidence, facts)
    _draw_tasks(tasks, facts)
    return _bytes(figure, kind)


def _bytes(figure: Figure, kind: str) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else {})
    return stream.getvalue()


def _draw_shares(axes: Axes, facts: Facts) -> None:
    for number, stay in enumerate(facts.stays):
        end = facts.end_s if stay.end_s is None else stay.end_s
        axes.axvspan(stay.begin_s, end, color=_BAND[number % 2], lw=0)
        # A phase that is too short for its name is in the table below the picture.
        if end - stay.begin_s > 0.07 * facts.end_s:
            axes.text((stay.begin_s + end) / 2, 1.06, stay.phase.replace("_", " "), ha="center", fontsize=8)
    seconds = [*facts.shares.seconds, facts.end_s]
    axes.step(seconds, [*facts.shares.values, facts.shares.values[-1]], where="post", color=COLOURS[CANDIDATE])
    axes.set_ylim(-0.04, 1.22)
    axes.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    axes.set_ylabel("candidate's share\nof new episodes")
    _plain(axes)


def _draw_evidence(axes: Axes, facts: Facts) -> None:
    rules = facts.rules
    curves = (
        (facts.e_harm, _ALARM, "worse success"),
        (facts.e_errors, _QUIET, "failing requests"),
        (facts.e_promote, _GOOD, f"not worse by {rules.margin:g}"),
    )
    for curve, colour, label in curves:
        _step(axes, curve, colour, label)
    for value, colour, label in (
        (rules.abort_threshold, _ALARM, "roll back"),
        (rules.promote_threshold, _GOOD, "promote"),
    ):
        axes.axhline(value, color=colour, ls="--", lw=0.9)
        axes.text(1.005, value, label, color=colour, va="center", fontsize=8, transform=axes.get_yaxis_transform())
    axes.set_yscale("log")
    axes.set_ylim(_lowest(curves), max(rules.abort_threshold, _highest(curves)) * 4)
    axes.set_ylabel("evidence (E-value)")
    axes.set_xlabel("seconds since the rollout began")
    axes.legend(frameon=False, fontsize=8, loc="lower left", ncols=3)
    _plain(axes)


def _step(axes: Axes, curve: Curve, colour: str, label: str) -> None:
    if curve.seconds:
        axes.step(curve.seconds, [max(value, 1e-12) for value in curve.values], where="post", color=colour, label=label)
    else:
        axes.plot([], [], color=colour, label=f"{label}: no evidence")


def _lowest(curves: Any) -> float:
    values = [value for curve, _, _ in curves for value in curve.values]
    return max(1e-6, min([*values, 0.1])) / 4


def _highest(curves: Any) -> float:
    return float(max([value for curve, _, _ in curves for value in curve.values] + [1.0]))


def _draw_tasks(axes: Axes, facts: Facts) -> None:
    tasks = sorted({task for task, _ in facts.by_task})
    for side, arm in ((-0.2, INCUMBENT), (0.2, CANDIDATE)):
        found = [facts.by_task.get((task, arm)) for task in tasks]
        heights = [tally.successes / tally.known if tally and tally.known else 0.0 for tally in found]
        places = [number + side for number in range(len(tasks))]
        version = facts.state.brief.candidate.version if arm == CANDIDATE else facts.state.brief.incumbent.version
        axes.bar(places, heights, width=0.36, color=COLOURS[arm], label=f"{arm}, version {version}")
        for place, height, tally in zip(places, heights, found, strict=True):
            text = f"{tally.successes}/{tally.known}" if tally and tally.known else "none"
            axes.text(place, height + 0.03, text, ha="center", fontsize=8)
    axes.set_xticks(range(len(tasks)), tasks)
    axes.set_ylim(0, 1.3)
    axes.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    axes.set_ylabel("successful episodes")
    axes.legend(frameon=False, fontsize=8, loc="upper right", ncols=2)
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
