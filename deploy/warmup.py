"""The value check before a slot gets traffic: a server that answers is not yet a server that answers right."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from tritonclient.utils import InferenceServerException

from components.bundle.warmup import Warmup, read_warmup
from components.core.errors import ServerError
from deploy.client.wire import MODEL, connect, read_answer, request_inputs
from deploy.state import SlotState
from deploy.triton.repository import MAX_BATCH

# Largest error of an action, in physical units. Batching and another numpy shift a float32 network by about 1e-6.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class WarmUp:
    """`max_abs_error` in physical units; latencies of single requests straight to the slot."""

    max_abs_error: float
    p50_ms: float
    p99_ms: float


def check_answers(slot: SlotState, requests: int, timeout_s: float) -> WarmUp:
    """Asks for the bundle's own examples, as a batch and then one by one, at least `requests` times.

    Raises `ServerError` where an answer fails, comes from another policy, or differs by more than `TOLERANCE`.
    """
    example = read_warmup(slot.bundle)
    errors, latencies_ms = [], []
    with connect(slot.server.url) as client:
        for rows in _rows(len(example), requests):
            began = time.perf_counter()
            errors.append(_error(client, slot, example, rows, timeout_s))
            if len(rows) == 1:
                latencies_ms.append((time.perf_counter() - began) * 1e3)
    return WarmUp(max(errors), float(np.percentile(latencies_ms, 50)), float(np.percentile(latencies_ms, 99)))


def _rows(examples: int, requests: int) -> Iterator[list[int]]:
    """First batches of all examples, then single ones, going round."""
    for start in range(0, examples, MAX_BATCH):
        yield list(range(start, min(start + MAX_BATCH, examples)))
    for number in range(max(requests, 1)):
        yield [number % examples]


def _error(client: Any, slot: SlotState, example: Warmup, rows: list[int], timeout_s: float) -> float:
    words = [example.instructions[row] for row in rows]
    expected = example.actions[rows]
    try:
        inputs = request_inputs(example.images[rows], example.state[rows], words)
        answer = read_answer(client.infer(MODEL, inputs, client_timeout=timeout_s))
    except (InferenceServerException, ValueError) as error:
        raise ServerError(f"the slot does not answer its own example: {error}", where=slot.server.url) from error
    if (answer.version, answer.bundle_digest) != (slot.version, slot.digest):
        raise ServerError(
            f"answers as version {answer.version} of bundle {answer.bundle_digest[:12]}, "
            f"expected {slot.version} of {slot.digest[:12]}",
            where=slot.server.url,
        )
    if answer.actions.shape != expected.shape or not np.isfinite(answer.actions).all():
        raise ServerError(f"answers actions {list(answer.actions.shape)} that do not fit", where=slot.server.url)
    worst = float(np.abs(answer.actions.astype(np.float64) - expected).max())
    if worst > TOLERANCE:
        raise ServerError(
            f"actions differ from the bundle's own by {worst:.3g}, allowed are {TOLERANCE:g}",
            where=slot.server.url,
            hint="Check numpy<2 in the serving environment, and export the bundle again",
        )
    return worst
