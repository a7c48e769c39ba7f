"""Faults of what is said about an episode. `docs/checks.md` says what each does and how strongly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from checkbench.parts import Rng, pick
from components.core.episode import Episode


def missing_language(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    return replace(episode, instruction=(episode.task, "n/a", "")[strength])


def instruction_mismatch(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    """How many episodes of a task are hit is the strength; each gets the words of one of `others`."""
    strange = pick(rng, [other for other in others if other.task != episode.task])
    return replace(episode, instruction=strange.instruction)


def instruction_mismatch_rate(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    """How many episodes of a task are hit is the strength; all get the words of the first of `others`."""
    return replace(episode, instruction=others[0].instruction)


def no_consent(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    return episode.with_provenance(consent_ref=("pending", "n/a", "")[strength])


def licence_forbids(episode: Episode, strength: int, rng: Rng, others: Sequence[Episode]) -> Episode:
    return episode.with_provenance(licence=("CC-BY-NC-SA-4.0", "CC-BY-NC-4.0", "All rights reserved")[strength])
