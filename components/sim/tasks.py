"""The tasks of the cell: which environment each one runs in, and the words that ask for it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from components.core.errors import UsageError


@dataclass(frozen=True)
class Task:
    """`env_name`: the Meta-World environment; `expert`: its scripted policy; `phrasings`: ways to ask for it."""

    name: str
    env_name: str
    expert: str
    phrasings: tuple[str, ...]

    def phrasing(self, number: int) -> str:
        """The instruction for episode `number`; consecutive numbers go through all phrasings."""
        return self.phrasings[number % len(self.phrasings)]


# The two faucet tasks share one scene: only the instruction tells them apart.
_ALL = (
    Task(
        "drawer-open",
        "drawer-open-v3",
        "SawyerDrawerOpenV3Policy",
        ("open the drawer", "pull the drawer open", "slide the drawer out", "please open that drawer"),
    ),
    Task(
        "button-press-topdown",
        "button-press-topdown-v3",
        "SawyerButtonPressTopdownV3Policy",
        ("press the button", "push the button down", "hit the red button from above", "please press that button"),
    ),
    Task(
        "handle-pull",
        "handle-pull-v3",
        "SawyerHandlePullV3Policy",
        ("pull the handle up", "lift the handle", "raise the lever", "please pull that handle up"),
    ),
    Task(
        "faucet-open",
        "faucet-open-v3",
        "SawyerFaucetOpenV3Policy",
        ("open the faucet", "turn the faucet on", "turn on the tap", "please open that faucet"),
    ),
    Task(
        "faucet-close",
        "faucet-close-v3",
        "SawyerFaucetCloseV3Policy",
        ("close the faucet", "turn the faucet off", "turn off the tap", "please close that faucet"),
    ),
)

TASKS: dict[str, Task] = {task.name: task for task in _ALL}


def task(name: str) -> Task:
    """Looks a task up. Raises `UsageError` that suggests the nearest name."""
    if name in TASKS:
        return TASKS[name]
    near = difflib.get_close_matches(name, TASKS, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(TASKS)}"
    raise UsageError(f"no task {name!r} in the simulated cell", hint=hint)
