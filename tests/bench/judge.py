"""How often the judge is wrong, and how soon it is right: simulated rollouts through the judge's own arithmetic.

    python tests/bench/judge.py [runs]

Each run draws episodes as a fleet would: tasks in turn, the arm by a lottery at the canary share, success by the arm's
rate on the task. The verdict is looked at after every episode, as the driver does.
"""

from __future__ import annotations

import sys
from collections import defaultdict, deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.core.params import Rollout, load_params
from deploy.rollout.judge import Rules, error_path, harm_path, promote_path, rules_of

ROOT = Path(__file__).resolve().parents[2]
TASKS = 5
ROBOTS = 6
REPLANS = 9
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """`errors`: share of failing attempts, None: as much as is in order; `robot_sd`: spread of robots' rates."""

    name: str
    incumbent: Floats
    candidate: Floats | None
    errors: float | None = 0.0
    robot_sd: float = 0.0


def flat(rate: float) -> Floats:
    return np.full(TASKS, rate)


# What an image policy reached per task.
MEASURED = np.array([1.0, 1.0, 0.9, 1.0, 0.66])
CASES = (
    Case("A/A 0.92 on every task", flat(0.92), flat(0.92)),
    Case("A/A 0.92, robots differ by sd 0.09", flat(0.92), flat(0.92), robot_sd=0.09),
    Case("A/A 0.92, 0.5 % of attempts fail", flat(0.92), flat(0.92), errors=None),
    Case("A/A 1, 1, 0.9, 1, 0.66 by task", MEASURED, MEASURED),
    Case("A/A 0.70", flat(0.70), flat(0.70)),
    Case("A/A 0.50", flat(0.50), flat(0.50)),
    Case("0.85 -> 0.95, better", flat(0.85), flat(0.95)),
    Case("0.93 -> 0.47, the drill", flat(0.93), flat(0.47)),
    Case("0.90 -> 0.50", flat(0.90), flat(0.50)),
    Case("0.90 -> 0.70", flat(0.90), flat(0.70)),
    Case("0.90 -> 0.80", flat(0.90), flat(0.80)),
    Case("0.92 -> 0.92 - margin", flat(0.92), None),
    Case("0.92 -> 0 on one task of five", flat(0.92), np.array([0.92] * 4 + [0.0])),
    Case("0.92 -> 0.92, 5 % of attempts fail", flat(0.92), flat(0.92), errors=0.05),
)


def one_run(rng: np.random.Generator, case: Case, rules: Rules, share: float) -> tuple[str, float]:
    """("abort" | "promote" | "hold", episodes of both arms until then)."""
    candidate = case.incumbent - rules.margin if case.candidate is None else case.candidate
    robots = rng.normal(0.0, case.robot_sd, ROBOTS)
    error_rate = rules.error_rate if case.errors is None else case.errors
    waiting: dict[tuple[int, bool], deque[int]] = defaultdict(deque)
    differences, paired_at, requests, asked_at, fine = [], [], [], [], []
    for number in range(rules.max_episodes):
        task, robot = number % TASKS, number // TASKS % ROBOTS
        is_candidate = bool(rng.random() < share)
        rate = (candidate if is_candidate else case.incumbent)[task] + robots[robot]
        won = int(rng.random() < rate)
        if is_candidate:
            requests.append((REPLANS, int(rng.binomial(REPLANS, error_rate))))
            asked_at.append(number + 1)
        if waiting[task, not is_candidate]:
            partner = waiting[task, not is_candidate].popleft()
            differences.append(won - partner if is_candidate else partner - won)
            paired_at.append(number + 1)
            attempts, failures = np.sum(requests, axis=0)
            fine.append(failures <= rules.error_rate * attempts)
        else:
            waiting[task, is_candidate].append(won)
    alarm = min(
        _first(harm_path(differences) >= rules.abort_threshold, paired_at),
        _first(error_path(requests, rules.error_rate) >= rules.abort_threshold, asked_at),
    )
    enough = 2 * np.arange(1, len(differences) + 1) >= rules.min_episodes
    good = promote_path(differences, rules.margin) >= rules.promote_threshold
    passed = _first(good & enough & np.asarray(fine), paired_at)
    if alarm <= passed and np.isfinite(alarm):
        return "abort", alarm
    return ("promote", passed) if np.isfinite(passed) else ("hold", float(rules.max_episodes))


def _first(mask: npt.NDArray[np.bool_], at: list[int]) -> float:
    found = np.flatnonzero(mask)
    return float(at[found[0]]) if len(found) else np.inf


@dataclass(frozen=True)
class Row:
    """Shares of runs that ended so; median and 90th percentile of episodes to the commoner of abort and promote."""

    name: str
    abort: float
    promote: float
    hold: float
    decision: str
    median: float
    p90: float


def measure(case: Case, rollout: Rollout, runs: int, seed: int = 1) -> Row:
    rng = np.random.default_rng(seed)
    found = [one_run(rng, case, rules_of(rollout), rollout.canary_share) for _ in range(runs)]
    share = {kind: sum(what == kind for what, _ in found) / runs for kind in ("abort", "promote", "hold")}
    decision = max(("abort", "promote"), key=lambda kind: share[kind])
    at = [when for what, when in found if what == decision] or [np.nan]
    median, p90 = (float(value) for value in np.percentile(at, [50, 90]))
    return Row(case.name, share["abort"], share["promote"], share["hold"], decision, median, p90)


def main() -> None:
    rollout = load_params(ROOT / "params.yaml").rollout
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    print(
        f"{runs} runs a row; margin {rollout.margin}, alpha {rollout.alpha_abort} (abort) and {rollout.alpha_promote} "
        f"(promote), {rollout.min_episodes} to {rollout.max_episodes} episodes, candidate share {rollout.canary_share}"
    )
    print("| success, incumbent -> candidate | abort | promote | hold | episodes of both arms, median / p90 |")
    print("|---|---|---|---|---|")
    for case in CASES:
        row = measure(case, rollout, runs)
        shares = " | ".join(f"{100 * value:.1f} %" for value in (row.abort, row.promote, row.hold))
        print(f"| {row.name} | {shares} | {row.decision}: {row.median:.0f} / {row.p90:.0f} |")


if __name__ == "__main__":
    main()
