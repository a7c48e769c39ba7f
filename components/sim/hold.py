"""Success that lasts: a task is done once its condition has been met for a while without a break."""

from __future__ import annotations

from components.core.errors import UsageError
from components.core.spec import SAWYER_CELL

# Where nobody says otherwise. A touch in passing, or a lid that falls shut again, is over by then.
HOLD_S = 0.5


def hold_steps(seconds: float) -> int:
    """Control steps of the cell that cover `seconds`; at least 1. Raises `UsageError` for a negative time."""
    if seconds < 0:
        raise UsageError(f"a success cannot be held for {seconds} s")
    return max(1, round(seconds * SAWYER_CELL.action.rate_hz))


class Hold:
    """Counts for how many control steps in a row a condition was met; `steps` of them are a success."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.held = 0

    def reset(self) -> None:
        self.held = 0

    def update(self, met: bool) -> None:
        """`met`: whether the condition is met at the end of a control step."""
        self.held = self.held + 1 if met else 0

    @property
    def holding(self) -> bool:
        return self.held > 0

    @property
    def done(self) -> bool:
        return self.held >= self.steps
