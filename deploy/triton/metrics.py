"""Counters of one tritonserver, read from its metrics endpoint."""

from __future__ import annotations

import re
import urllib.request
from dataclasses import dataclass

from components.core.errors import ServerError
from deploy.client.wire import MODEL

# The model's own counter, with outcome="success" or "failure": to tritonserver an error that is answered is a success.
OUTCOMES = "gripline_requests"
_LINE = re.compile(r"^(?P<name>\w+)\{(?P<labels>[^}]*)\} (?P<value>\S+)$")


@dataclass(frozen=True)
class SlotStats:
    """Requests of the policy that a slot answered, and those that it refused or failed, since it started."""

    success: int
    failure: int
    pending: int = 0

    def since(self, earlier: SlotStats) -> SlotStats:
        return SlotStats(self.success - earlier.success, self.failure - earlier.failure, self.pending)


def parse_metrics(text: str) -> SlotStats:
    """Sums what the model counted, and the failures that never came as far as the model."""
    lines = [match for match in map(_LINE.match, text.splitlines()) if match]

    def total(name: str, label: str) -> int:
        return sum(int(float(line["value"])) for line in lines if line["name"] == name and label in line["labels"])

    policy = f'model="{MODEL}"'
    return SlotStats(
        total(OUTCOMES, 'outcome="success"'),
        total(OUTCOMES, 'outcome="failure"') + total("nv_inference_request_failure", policy),
        total("nv_inference_pending_request_count", policy),
    )


def read_metrics(port: int, timeout_s: float = 2.0) -> SlotStats:
    """Reads the counters at loopback `port`. Raises `ServerError` where nobody answers."""
    url = f"http://127.0.0.1:{port}/metrics"
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as reply:
            return parse_metrics(reply.read().decode())
    except OSError as error:
        raise ServerError(f"no metrics: {error}", where=url, hint="Load the slot again") from error
