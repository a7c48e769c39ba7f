"""Counters of one tritonserver, read from its metrics endpoint."""

from __future__ import annotations

import re
import urllib.request
from dataclasses import dataclass

from components.core.errors import ServerError
from deploy.client.wire import MODEL

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
    """Sums the counters of the policy over versions and reasons."""
    totals: dict[str, float] = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match and f'model="{MODEL}"' in match["labels"]:
            totals[match["name"]] = totals.get(match["name"], 0.0) + float(match["value"])
    return SlotStats(
        int(totals.get("nv_inference_request_success", 0)),
        int(totals.get("nv_inference_request_failure", 0)),
        int(totals.get("nv_inference_pending_request_count", 0)),
    )


def read_metrics(port: int, timeout_s: float = 2.0) -> SlotStats:
    """Reads the counters at loopback `port`. Raises `ServerError` where nobody answers."""
    url = f"http://127.0.0.1:{port}/metrics"
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as reply:
            return parse_metrics(reply.read().decode())
    except OSError as error:
        raise ServerError(f"no metrics: {error}", where=url, hint="Load the slot again") from error
