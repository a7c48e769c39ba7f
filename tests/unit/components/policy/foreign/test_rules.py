from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.policy.foreign.rules import (
    ClassPlace,
    How,
    Ones,
    Stacked,
    WordRows,
    filled,
    one,
    same,
    wildcards,
)

PARTS = st.text("abcdefgh_0123456789", min_size=1, max_size=6)


@given(st.lists(PARTS, min_size=2, max_size=2), PARTS)
def test_a_pattern_that_is_filled_is_found_again(values: list[str], fixed: str) -> None:
    pattern = f"model.*.{fixed}.*"
    assert wildcards(pattern, filled(pattern, values)) == tuple(values)


def test_what_wildcards_stand_for() -> None:
    assert wildcards("a.*.c", "a.b.c") == ("b",)
    assert wildcards("a.*.c", "a.b.b.c") is None
    assert wildcards("a.**", "a.b.b.c") == ("b.b.c",)
    assert wildcards("in_proj_*", "in_proj_weight") == ("weight",)
    # A dot is a dot.
    assert wildcards("a.b", "axb") is None
    assert filled("x.*.y.**", ("1", "z.w")) == "x.1.y.z.w"


@pytest.mark.parametrize(
    ("how", "shapes"),
    [
        (How(), [(3, 2)]),
        (Stacked(), [(6, 4)]),
        (Stacked(2), [(4,)]),
        (Ones((0,)), [(1, 5)]),
        (Ones((2, 3)), [(4, 5, 1, 1)]),
        (ClassPlace(), [(1, 1, 4), (1, 9, 4)]),
    ],
)
def test_there_and_back(how: How, shapes: list[tuple[int, ...]]) -> None:
    torch.manual_seed(0)
    theirs = [torch.randn(shape) for shape in shapes]
    for before, after in zip(theirs, how.theirs(how.ours(theirs)), strict=True):
        assert torch.equal(before, after)


def test_ones_that_are_no_ones_stay_and_do_not_fit() -> None:
    assert Ones((2, 3)).ours([torch.zeros(4, 5, 3, 3)])[0].shape == (4, 5, 3, 3)


def test_what_a_class_token_learnt_at_its_place_goes_into_the_token() -> None:
    token, places = torch.full((1, 1, 2), 3.0), torch.full((1, 4, 2), 5.0)
    written = ClassPlace().theirs([token, places])
    assert written[0].tolist() == [[[8.0, 8.0]]]
    read = ClassPlace().ours(written)
    # Token and place are added before anything else happens to them.
    assert torch.equal(read[0] + read[1][:, :1], token + places[:, :1])


def test_words_are_the_mean_of_their_pieces() -> None:
    table = torch.arange(12.0).view(6, 2)
    made = WordRows(((), (1,), (2, 4)), 6).ours([table])[0]
    assert made.tolist() == [[0, 1], [2, 3], [6, 7], *table[3:].tolist()]
    assert WordRows(((), (1,), (2, 4)), 3).ours([table])[0].tolist() == [[0, 1], [2, 3], [6, 7]]
    assert table[2].tolist() == [4, 5]


def test_rules_of_the_same_names() -> None:
    assert same("a.", "b.", ("x.*", "y")) == (one("a.x.*", "b.x.*"), one("a.y", "b.y"))
