from __future__ import annotations

import inspect
import pickle

import pytest

from components.core import errors
from components.core.errors import FormatError, GriplineError

CLASSES = [item for _, item in inspect.getmembers(errors, inspect.isclass) if issubclass(item, GriplineError)]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_class_stands_in_the_tree_at_the_top(kind: type[GriplineError]) -> None:
    line = next(line for line in (errors.__doc__ or "").splitlines() if f" {kind.__name__} " in f"{line} ")
    if kind is not GriplineError:
        assert f"{kind.exit_code}  " in line


@pytest.mark.parametrize("kind", CLASSES)
def test_errors_cross_process_pools_whole(kind: type[GriplineError]) -> None:
    error = kind("broken", where="a.mcap#3", hint="Mend it")
    error.code = "special"
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert copy.as_dict() == error.as_dict() == {
        "code": "special", "message": "broken", "where": "a.mcap#3", "hint": "Mend it"
    }  # fmt: skip


def test_a_message_says_where_what_and_what_to_do() -> None:
    error = FormatError("no footer", where="day.mcap", hint="Record it again", code="truncated")
    assert str(error) == "day.mcap: no footer. Record it again."
    assert (error.exit_code, error.code) == (3, "truncated")


def test_exit_codes_are_those_of_the_interface() -> None:
    assert {kind.exit_code for kind in CLASSES} == {1, 2, 3, 4}
