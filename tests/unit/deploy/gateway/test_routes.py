from __future__ import annotations

from typing import Any

import pytest

from components.core.errors import UsageError
from deploy.gateway.routes import Routes


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"incumbent": "c"}, "no slot 'c'"),
        ({"incumbent": "a", "candidate": "x"}, "no slot 'x'"),
        ({"incumbent": "a", "candidate": "a"}, "both incumbent and candidate"),
        ({"incumbent": "a", "candidate": "b", "candidate_share": 1.1}, "expected 0 to 1"),
        ({"incumbent": "a", "candidate": "b", "candidate_share": float("nan")}, "expected 0 to 1"),
        ({"incumbent": "a", "candidate_share": 0.5}, "needs a candidate"),
        ({"incumbent": "a", "mirror": True}, "needs a candidate"),
    ],
)
def test_routes_that_make_no_sense_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Routes(**fields)


@pytest.mark.parametrize(
    ("routes", "used"),
    [
        (Routes("a"), "a"),
        (Routes("b", "a"), "b"),
        (Routes("a", "b", 0.01), "ab"),
        (Routes("a", "b", mirror=True), "ab"),
    ],
)
def test_a_drained_candidate_is_not_in_use(routes: Routes, used: str) -> None:
    assert "".join(slot for slot in "ab" if routes.uses(slot)) == used
