from __future__ import annotations

import pytest
import torch

from components.core.errors import ContractError
from components.policy.foreign.rules import Fresh, LeftOut, Ones, Rule, Stacked, Table, one
from components.policy.foreign.translate import to_ours, to_theirs

TABLE = Table(
    rules=(
        Rule(("a.in_proj_*",), ("q.*", "k.*"), Stacked(2)),
        one("head.*", "out.*"),
        one("tail.*", "out.*"),
    ),
    left_out=(LeftOut("stats.**", "read apart"), LeftOut("table", "follows", "places", Ones((0,)))),
    fresh=(Fresh("noise", "drawn"),),
)
THEIRS = {
    "a.in_proj_weight": torch.arange(8.0).view(4, 2),
    "head.weight": torch.ones(3, 2),
    "stats.buffer.mean": torch.zeros(2),
    "table": torch.zeros(1, 5),
}
OURS = {
    "q.weight": torch.zeros(2, 2),
    "k.weight": torch.zeros(2, 2),
    "out.weight": torch.zeros(3, 2),
    "noise": torch.zeros(1),
}


def test_every_tensor_is_told_of() -> None:
    made, report = to_ours(THEIRS, OURS, TABLE)
    assert report.fits
    assert made["k.weight"].tolist() == [[4, 5], [6, 7]]
    assert report.taken["k.weight"] == {"from": ["a.in_proj_weight"], "shape": [2, 2]}
    assert report.left_out == {"stats.buffer.mean": "read apart", "table": "follows"}
    assert report.fresh == {"noise": "[1]: drawn"}
    assert set(report.taken) | set(report.fresh) == set(OURS)


def test_what_is_missing_unknown_or_misshapen_is_named() -> None:
    theirs = {**THEIRS, "head.weight": torch.ones(4, 2), "strange.weight": torch.ones(1)}
    del theirs["a.in_proj_weight"]
    made, report = to_ours(theirs, OURS, TABLE)
    assert report.missing == ["q.weight", "k.weight"]
    assert report.unknown == {"strange.weight": [1]}
    assert report.misshapen == {"out.weight": [[3, 2], [4, 2]]}
    assert made == {}
    wanted = r"2 missing: q.weight, k.weight; 1 unknown: strange.weight; 1 misshapen: out.weight is \[4, 2\], expected"
    with pytest.raises(ContractError, match=wanted):
        report.require_fit("here")


def test_many_are_counted_and_the_first_named() -> None:
    theirs = THEIRS | {f"strange.{number}": torch.ones(1) for number in range(20)}
    _, report = to_ours(theirs, OURS, TABLE)
    with pytest.raises(ContractError, match=r"20 unknown: strange.0, .*strange.7 and 12 more"):
        report.require_fit("here")


def test_a_tensor_that_a_rule_knows_and_the_policy_lacks_is_unknown() -> None:
    _, report = to_ours(THEIRS, {name: tensor for name, tensor in OURS.items() if name != "out.weight"}, TABLE)
    assert list(report.unknown) == ["head.weight"]


def test_the_same_tensor_under_a_second_name_is_left_out() -> None:
    made, report = to_ours(THEIRS | {"tail.weight": torch.zeros(3, 2)}, OURS, TABLE)
    assert report.fits
    assert made["out.weight"].sum() == 6
    assert report.left_out["tail.weight"] == "out.weight is made of head.weight already"


def test_shapes_alone_are_enough() -> None:
    meta = [{name: tensor.to("meta") for name, tensor in side.items()} for side in (THEIRS, OURS)]
    assert to_ours(*meta, TABLE)[1] == to_ours(THEIRS, OURS, TABLE)[1]


def test_back() -> None:
    ours, _ = to_ours(THEIRS, OURS, TABLE)
    made, report = to_theirs(ours | {"noise": torch.zeros(1)}, {"places": torch.ones(5)}, TABLE)
    assert torch.equal(made["a.in_proj_weight"], THEIRS["a.in_proj_weight"])
    assert made["table"].shape == (1, 5)
    assert report.left_out == {"noise": "drawn"}
    assert report.fresh == {"stats.**": "read apart"}
    assert report.fits


def test_ours_without_a_name_there_is_unknown_and_half_of_a_rule_missing() -> None:
    _, report = to_theirs({"new": torch.zeros(2), "q.weight": torch.zeros(2, 2)}, {}, TABLE)
    assert report.unknown == {"new": [2]}
    assert report.missing == ["k.weight"]
