"""Instructions, consent and licences."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.checks.own.rows import Rows
from components.checks.own.words import PLACEHOLDERS, phrasings, words
from components.core.params import Checks

Said = Callable[..., dict[str, list[float]]]


@pytest.fixture
def said(episodes: ModuleType, params: Checks) -> Said:
    def of(**columns: list[str | None]) -> dict[str, list[float]]:
        count = len(next(iter(columns.values())))
        every = {"instruction": ["open the drawer"], "task": ["drawer"], "consent_ref": ["x"], "licence": ["MIT"]}
        table = {name: pa.array(columns.get(name, values * count), pa.string()) for name, values in every.items()}
        return {name: v.tolist() for name, v in words(Rows(pa.table(table), episodes.CELL), params).items()}

    return of


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("open the drawer", 3),
        ("  open\n the\tdrawer ", 3),
        ("drawer-open", 1),
        ("", 0),
        (None, 0),
        (" N/A. ", 0),
        ("TODO", 0),
        ("No  instruction!", 0),
        ("todo list into the bin", 5),
    ],
)
def test_words_are_counted_and_placeholders_are_none(said: Said, text: str | None, count: int) -> None:
    assert said(instruction=[text])["instruction_words"] == [count]


@pytest.mark.parametrize("text", sorted(PLACEHOLDERS))
def test_no_placeholder_says_anything_nor_is_consent(said: Said, text: str) -> None:
    found = said(instruction=[text.upper()], consent_ref=[text.title()])
    assert (found["instruction_words"], found["consent"]) == ([0.0], [0.0])


@pytest.mark.parametrize(
    ("licence", "forbids"),
    [
        ("CC-BY-4.0", 0),
        ("MIT", 0),
        ("", 0),
        (None, 0),
        ("cc-by-nc-4.0", 1),
        ("CC-BY-NC", 1),
        ("(c) 2025, All Rights Reserved.", 1),
        ("Proprietary, see contract", 1),
    ],
)
def test_licences_are_matched_whatever_their_case(said: Said, licence: str | None, forbids: int) -> None:
    assert said(licence=[licence])["licence_forbids"] == [forbids]


def test_an_instruction_of_another_task_is_foreign(said: Said) -> None:
    instruction = [*["open the drawer"] * 6, *["lift the lid"] * 6, "Open  the drawer"]
    task = [*["drawer"] * 6, *["lid"] * 6, "lid"]
    assert said(instruction=instruction, task=task)["foreign_instruction"] == [0.0] * 12 + [1.0]


def test_what_is_said_of_two_tasks_alike_or_of_few_episodes_is_no_error(said: Said) -> None:
    both = said(instruction=["do it now"] * 12, task=["drawer"] * 6 + ["lid"] * 6)
    few = said(instruction=["open the drawer"] * 5, task=["drawer"] * 4 + ["lid"])
    silent = said(instruction=["N/A"] * 9, task=["drawer"] * 8 + ["lid"])
    assert sum(sum(found["foreign_instruction"]) for found in (both, few, silent)) == 0


@given(counts=st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_phrasings_lie_between_one_and_how_many_there_are(counts: list[int]) -> None:
    texts = [f"say {number}" for number, count in enumerate(counts) for _ in range(count)]
    assert 1.0 - 1e-9 <= phrasings(texts) <= len(counts) + 1e-9
    if len(set(counts)) == 1:
        assert phrasings(texts) == pytest.approx(len(counts))


def test_case_and_spaces_make_no_other_phrasing() -> None:
    assert phrasings(["Open it", "open  it", "OPEN IT "]) == pytest.approx(1.0)
