"""The benchmark of the data checks: faults, trials, and what came of them. `tests/bench/checks.py` runs it."""
