"""The tasks of the cell: which environment each one runs in, and the words that ask for it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from components.core.errors import UsageError


@dataclass(frozen=True)
class Task:
    """`env_name`: the Meta-World environment; `expert`: its scripted policy; `phrasings`: ways to ask for it.

    `scene`: what stands on the table. Tasks of one scene look alike before anybody moves. `overshoots`: its expert,
    which does not know when it is done, pushes on until what it did is undone.
    """

    name: str
    scene: str
    env_name: str
    expert: str
    phrasings: tuple[str, ...]
    overshoots: bool = False

    def phrasing(self, number: int) -> str:
        """The instruction for episode `number`; consecutive numbers go through all phrasings."""
        return self.phrasings[number % len(self.phrasings)]


# The two faucet tasks share one scene: only the instruction tells them apart.
_ALL = (
    Task(
        "drawer-open",
        "drawer",
        "drawer-open-v3",
        "SawyerDrawerOpenV3Policy",
        ("open the drawer", "pull the drawer open", "slide the drawer out", "please open that drawer"),
    ),
    Task(
        "button-press-topdown",
        "button",
        "button-press-topdown-v3",
        "SawyerButtonPressTopdownV3Policy",
        ("press the button", "push the button down", "hit the red button from above", "please press that button"),
    ),
    Task(
        "handle-pull",
        "handle",
        "handle-pull-v3",
        "SawyerHandlePullV3Policy",
        ("pull the handle up", "lift the handle", "raise the lever", "please pull that handle up"),
    ),
    Task(
        "faucet-open",
        "faucet",
        "faucet-open-v3",
        "SawyerFaucetOpenV3Policy",
        ("open the faucet", "turn the faucet on", "turn on the tap", "please open that faucet"),
        overshoots=True,
    ),
    Task(
        "faucet-close",
        "faucet",
        "faucet-close-v3",
        "SawyerFaucetCloseV3Policy",
        ("close the faucet", "turn the faucet off", "turn off the tap", "please close that faucet"),
        overshoots=True,
    ),
)

TASKS: dict[str, Task] = {task.name: task for task in _ALL}


def swaps(names: Iterable[str]) -> list[tuple[str, str]]:
    """(task, another task of its scene) for all such tasks among `names`, in both directions."""
    known = [TASKS[name] for name in names]
    return [(one.name, other.name) for one in known for other in known if one.scene == other.scene and one != other]


def task(name: str) -> Task:
    """Looks a task up. Raises `UsageError` that suggests the nearest name."""
    if name in TASKS:
        return TASKS[name]
    near = difflib.get_close_matches(name, TASKS, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(TASKS)}"
    raise UsageError(f"no task {name!r} in the simulated cell", hint=hint)
