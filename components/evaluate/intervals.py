"""How sure one may be of a success rate, and of one being higher than another."""

from __future__ import annotations

import math
from statistics import NormalDist

from components.core.errors import UsageError


def wilson(successes: int, n: int, confidence: float) -> tuple[float, float]:
    """Two-sided Wilson score interval of a rate; (0, 1) where nothing was tried."""
    if not 0 <= successes <= n:
        raise UsageError(f"{successes} successes of {n}")
    if not 0.0 < confidence < 1.0:
        raise UsageError(f"confidence must lie between 0 and 1, found {confidence}")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    rate, spread = successes / n, z * z / n
    centre = (rate + spread / 2.0) / (1.0 + spread)
    half = z * math.sqrt(rate * (1.0 - rate) / n + spread / (4.0 * n)) / (1.0 + spread)
    # At the ends the bound is exact; without this it would miss it by a rounding error.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def p_not_better(successes: int, n: int, other_successes: int, other_n: int) -> float:
    """Fisher's exact test, one-sided: the chance of a lead this large or larger if both were equally good."""
    if not (0 <= successes <= n and 0 <= other_successes <= other_n):
        raise UsageError(f"{successes} successes of {n} against {other_successes} of {other_n}")
    total, good = n + other_n, successes + other_successes
    ways = sum(math.comb(good, k) * math.comb(total - good, n - k) for k in range(successes, min(good, n) + 1))
    return ways / math.comb(total, n)
