from __future__ import annotations

import pytest

from components.core.errors import UsageError
from components.sim.tasks import TASKS, task


def test_each_task_has_at_least_four_phrasings_and_none_is_shared() -> None:
    phrasings = [phrasing for known in TASKS.values() for phrasing in known.phrasings]
    assert all(len(set(known.phrasings)) >= 4 for known in TASKS.values())
    assert len(phrasings) == len(set(phrasings))


def test_numbers_go_through_all_phrasings() -> None:
    known = task("faucet-open")
    count = len(known.phrasings)
    assert {known.phrasing(number) for number in range(7, 7 + count)} == set(known.phrasings)


def test_the_faucet_tasks_share_no_phrasing_that_fits_both() -> None:
    # One scene, two tasks: the words have to tell them apart.
    for name, other in (("faucet-open", {"close", "off"}), ("faucet-close", {"open", "on"})):
        for phrasing in TASKS[name].phrasings:
            assert not other & set(phrasing.split())


def test_a_misspelt_task_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no task 'drawer-opne' .* Did you mean 'drawer-open'\?"):
        task("drawer-opne")


def test_an_unknown_task_is_answered_with_all() -> None:
    with pytest.raises(UsageError, match="Known: drawer-open, button-press-topdown"):
        task("zzz")
