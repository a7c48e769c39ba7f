"""A table applied: tensors of one framework to ours or back, and what became of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from components.core.errors import ContractError
from components.policy.foreign.rules import Rule, Table, filled, wildcards

# Named in an error; all are in the report.
_NAMED = 8


@dataclass
class Report:
    """What became of every tensor of a file, and of every one of ours.

    `taken`: ours -> the names of theirs that it is made of, and its shape; `left_out`: theirs, and why; `fresh`: ours
    that no file holds, and why; `missing`: ours that the file should hold; `unknown`: shape of theirs that no rule
    speaks of; `misshapen`: ours -> [expected shape, found shape].
    """

    taken: dict[str, dict[str, Any]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    fresh: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unknown: dict[str, list[int]] = field(default_factory=dict)
    misshapen: dict[str, list[list[int]]] = field(default_factory=dict)

    @property
    def fits(self) -> bool:
        return not (self.missing or self.unknown or self.misshapen)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def require_fit(self, where: str) -> None:
        """Raises `ContractError` naming the first of what is missing, unknown or misshapen, and how many there are."""
        wrong = []
        for name, found in (("missing", self.missing), ("unknown", list(self.unknown))):
            if found:
                wrong.append(f"{len(found)} {name}: {_some(found)}")
        if self.misshapen:
            shapes = [f"{name} is {found}, expected {wanted}" for name, (wanted, found) in self.misshapen.items()]
            wrong.append(f"{len(shapes)} misshapen: {_some(shapes)}")
        if wrong:
            raise ContractError(
                f"its tensors do not fit; {'; '.join(wrong)}",
                where=where,
                hint="Nothing was written. `gripline models inspect` names the presets that may have its sizes",
            )


def to_ours(
    theirs: Mapping[str, Tensor], expected: Mapping[str, Tensor], table: Table
) -> tuple[dict[str, Tensor], Report]:
    """`expected`: the tensors of a policy, on any device, for their names and shapes.

    Works on the meta device as well, where only names and shapes are told.
    """
    made, report = {}, Report()
    for name in theirs:
        if (why := _why_left_out(name, table)) is not None:
            report.left_out[name] = why
            continue
        found = _rule_of(name, table.rules, lambda rule: rule.theirs)
        if found is None:
            report.unknown[name] = list(theirs[name].shape)
            continue
        rule, values = found
        sources, targets = ([filled(one, values) for one in side] for side in (rule.theirs, rule.ours))
        if targets[0] in made:
            used = report.taken[targets[0]]["from"]
            if name not in used:
                report.left_out[name] = f"{targets[0]} is made of {', '.join(used)} already"
            continue
        if any(source not in theirs for source in sources):
            continue
        for target, tensor in zip(targets, rule.how.ours([theirs[source] for source in sources]), strict=True):
            made[target] = tensor
            report.taken[target] = {"from": sources, "shape": list(tensor.shape)}
    _compare(made, expected, table, report)
    return {name: made[name] for name in report.taken}, report


def _compare(made: Mapping[str, Tensor], expected: Mapping[str, Tensor], table: Table, report: Report) -> None:
    for name, wanted in expected.items():
        if name not in made:
            why = next((one.why for one in table.fresh if wildcards(one.ours, name) is not None), None)
            if why is None:
                report.missing.append(name)
            else:
                report.fresh[name] = f"{list(wanted.shape)}: {why}"
        elif made[name].shape != wanted.shape:
            report.misshapen[name] = [list(wanted.shape), list(made[name].shape)]
    for name in [name for name in made if name not in expected]:
        sources = report.taken.pop(name)["from"]
        report.unknown |= {source: list(made[name].shape) for source in sources}
    for name in report.misshapen:
        del report.taken[name]


def to_theirs(
    ours: Mapping[str, Tensor], buffers: Mapping[str, Tensor], table: Table
) -> tuple[dict[str, Tensor], Report]:
    """Inverse of `to_ours`; `buffers`: what the policy has beside its weights, of which some files hold a copy.

    In the report `taken` is by their names, `left_out` by those of ours that have no place there, and `fresh` are
    patterns of theirs that cannot be made of ours.
    """
    made: dict[str, Tensor] = {}
    report = Report()
    for name in ours:
        found = _rule_of(name, table.rules, lambda rule: rule.ours)
        if found is None:
            why = next((one.why for one in table.fresh if wildcards(one.ours, name) is not None), None)
            if why is None:
                report.unknown[name] = list(ours[name].shape)
            else:
                report.left_out[name] = why
            continue
        rule, values = found
        sources, targets = ([filled(one, values) for one in side] for side in (rule.ours, rule.theirs))
        if targets[0] in made:
            continue
        if absent := [source for source in sources if source not in ours]:
            report.missing += absent
            continue
        _give(made, targets, rule.how.theirs([ours[source] for source in sources]), sources, report)
    for left in table.left_out:
        if left.ours and left.ours in buffers:
            _give(made, [left.theirs], left.how.theirs([buffers[left.ours]]), [left.ours], report)
        else:
            report.fresh[left.theirs] = left.why
    return made, report


def _give(
    made: dict[str, Tensor], targets: Sequence[str], tensors: Sequence[Tensor], sources: list[str], report: Report
) -> None:
    for target, tensor in zip(targets, tensors, strict=True):
        made[target] = tensor
        report.taken[target] = {"from": sources, "shape": list(tensor.shape)}


def _why_left_out(name: str, table: Table) -> str | None:
    return next((one.why for one in table.left_out if wildcards(one.theirs, name) is not None), None)


def _rule_of(
    name: str, rules: Sequence[Rule], side: Callable[[Rule], tuple[str, ...]]
) -> tuple[Rule, tuple[str, ...]] | None:
    """The first rule that speaks of `name`, and what its wildcards stand for."""
    for rule in rules:
        for pattern in side(rule):
            values = wildcards(pattern, name)
            if values is not None:
                return rule, values
    return None


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
