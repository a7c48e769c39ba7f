"""Where requests go: the desired state of the gateway, apart from how Envoy spells it."""

from __future__ import annotations

from dataclasses import dataclass

from components.core.errors import UsageError

SLOTS = ("a", "b")


@dataclass(frozen=True)
class SlotAddress:
    """A slot that can answer: the policy version it serves and its loopback ports."""

    version: str
    grpc_port: int
    http_port: int


@dataclass(frozen=True)
class Routes:
    """Which slot new episodes get, and whether running ones stay where they are.

    `candidate_share` of the new episodes starts at the candidate. `mirror` copies the incumbent's requests to the
    candidate, whose answers nobody sees. While `pinned`, an episode stays with the version that it began with, whatever
    the rest says, as long as that version is loaded; `pinned=False` is the kill switch: the next request of every
    episode goes to the incumbent. A version that is not loaded any more is answered by the incumbent.
    """

    incumbent: str
    candidate: str | None = None
    candidate_share: float = 0.0
    mirror: bool = False
    pinned: bool = True

    def __post_init__(self) -> None:
        for slot in (self.incumbent, self.candidate):
            if slot is not None and slot not in SLOTS:
                raise UsageError(f"no slot {slot!r}; there are {', '.join(SLOTS)}")
        if self.candidate == self.incumbent:
            raise UsageError(f"slot {self.incumbent!r} cannot be both incumbent and candidate")
        if not 0.0 <= self.candidate_share <= 1.0:
            raise UsageError(f"candidate_share is {self.candidate_share}, expected 0 to 1")
        if self.candidate is None and (self.candidate_share or self.mirror):
            raise UsageError("a share or a mirror needs a candidate")

    def uses(self, slot: str) -> bool:
        """Whether the slot gets new episodes or copies of requests."""
        return slot == self.incumbent or (slot == self.candidate and (self.candidate_share > 0 or self.mirror))
