"""What a recording says about an episode, beside its samples; the same keys in both formats."""

from __future__ import annotations

from components.core.episode import Episode


def describe(episode: Episode) -> dict[str, str]:
    source = episode.provenance
    return {
        "task": episode.task,
        "robot_id": source.robot_id,
        "collector_id": source.collector_id,
        "site": source.site,
        "embodiment": episode.embodiment,
        "licence": source.licence,
        "consent_ref": source.consent_ref,
        "recorded_at": source.recorded_at,
        "outcome": source.outcome,
        "calibration_digest": source.calibration_digest,
    }
