"""An episode as it was recorded becomes the frames of the dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from components.core.episode import CONTROL_SOURCES, Episode, Stream, StreamKind, episode_id
from components.core.errors import EpisodeError
from components.core.files import digest_json
from components.core.spec import ActionGroup, Embodiment, StateGroup
from components.dataset.frames import EpisodeFrames
from components.ingest.align import Aligned, Grid, Method, Track, align, previous, stream_facts
from components.ingest.conform import cut
from components.ingest.motion import commands, state_rotation, state_track
from components.ingest.pictures import Depths, Images

CONTROL_SOURCE = "control_source"

AnyGroup = TypeVar("AnyGroup", ActionGroup, StateGroup)


@dataclass(frozen=True)
class _Part(Generic[AnyGroup]):
    """The columns of one group on the way through alignment; `key` names its track."""

    key: str
    group: AnyGroup
    track: Track


def to_frames(
    episode: Episode, embodiment: Embodiment, *, fps: int, max_misalignment_ms: float, causal: bool = False
) -> EpisodeFrames:
    """Frames at `fps`: images at the embodiment's size, decoded as they are taken; float32 state and action.

    `causal`: an action is the last one given at a tick, never one that comes after it. The feature `control_source`
    int64 [T, 1], an index into `CONTROL_SOURCES`, says who moved the robot: a person where the recording does not.
    Nothing is judged: an instruction may be empty and numbers may be NaN. Raises `EpisodeError` where there is nothing
    to judge: missing_stream, missing_task, wrong_embodiment, wrong_kind, wrong_shape, wrong_form, wrong_value,
    no_overlap, bad_time; and bad_image or wrong_shape when a frame is taken.
    """
    where, seen = episode.provenance.source_uri, embodiment.observation
    _require_identity(episode, embodiment)
    pictures = {f"image {name}": _pictures(episode, name, "image") for name in seen.cameras}
    pictures |= {f"depth {name}": _pictures(episode, name, "depth") for name in seen.depth}
    state = _state_parts(episode, "state", seen.state)
    kept = _state_parts(episode, "kept", seen.kept)
    action = _action_parts(episode, embodiment.action.groups, causal=causal)
    tracks = pictures | {part.key: part.track for part in (*state, *kept)} | {p.key: p.track for p in action}
    aligned = align(tracks, Grid(embodiment.action.groups[0].stream, fps, round(max_misalignment_ms * 1e6), where))
    extras = {
        f"observation.{name}": _state([part for part in kept if part.group.stream == name], aligned)
        for name in dict.fromkeys(group.stream for group in seen.kept)
    }
    start_ns = min(int(stream.time_ns.min()) for stream in episode.streams.values() if len(stream))
    return EpisodeFrames(
        episode_id=episode_id(episode),
        task=episode.task,
        instruction=episode.instruction,
        images={
            name: Images(episode.streams[name], aligned.index[f"image {name}"], seen.image_px, where)
            for name in seen.cameras
        },
        depth={name: Depths(episode.streams[name], aligned.index[f"depth {name}"], where) for name in seen.depth},
        state=_state(state, aligned),
        action=_action(action, aligned, episode, fps, causal=causal),
        time_s=(aligned.ticks_ns - start_ns) / 1e9,
        row=_row(episode, embodiment),
        extras={**extras, CONTROL_SOURCE: _control_source(episode, aligned)},
        streams=_stream_rows(episode, aligned.misalignment_ms, start_ns),
        calibration=episode.calibration,
    )


def _require_identity(episode: Episode, embodiment: Embodiment) -> None:
    where = episode.provenance.source_uri
    if not episode.task:
        raise EpisodeError(
            "the recording names neither task nor instruction",
            where=where,
            hint="Say `task` under `constants` of a mapping, or in a cut list",
            code="missing_task",
        )
    # A file that names no embodiment is taken for that of the run: who put it there said so.
    if episode.embodiment not in ("", embodiment.name):
        raise EpisodeError(
            f"recorded by embodiment {episode.embodiment!r}, expected {embodiment.name!r}",
            where=where,
            code="wrong_embodiment",
        )


def _pictures(episode: Episode, name: str, kind: StreamKind) -> Track:
    stream = episode.stream(name)
    if stream.kind != kind:
        raise EpisodeError(
            f"stream {name!r} is of kind {stream.kind}, expected {kind}",
            where=episode.provenance.source_uri,
            code="wrong_kind",
        )
    return Track(stream, "nearest")


def _cut_by_stream(episode: Episode, groups: Sequence[AnyGroup]) -> list[tuple[AnyGroup, Stream]]:
    """Each group with its columns, in the order of the groups."""
    where = episode.provenance.source_uri
    found: dict[int, Stream] = {}
    for name in dict.fromkeys(group.stream for group in groups):
        sharing = [number for number, group in enumerate(groups) if group.stream == name]
        found |= dict(zip(sharing, cut(episode.stream(name), [groups[n] for n in sharing], where=where), strict=True))
    return [(group, found[number]) for number, group in enumerate(groups)]


def _state_parts(episode: Episode, role: str, groups: Sequence[StateGroup]) -> list[_Part[StateGroup]]:
    return [
        _Part(f"{role} {number}", group, state_track(stream, group))
        for number, (group, stream) in enumerate(_cut_by_stream(episode, groups))
    ]


def _action_parts(episode: Episode, groups: Sequence[ActionGroup], *, causal: bool) -> list[_Part[ActionGroup]]:
    method: Method = "causal" if causal else "command"
    return [
        _Part(f"action {number}", group, Track(stream, method))
        for number, (group, stream) in enumerate(_cut_by_stream(episode, groups))
    ]


def _state(parts: Sequence[_Part[StateGroup]], aligned: Aligned) -> npt.NDArray[np.float32]:
    columns = [state_rotation(aligned.values[part.key], part.track, part.group) for part in parts]
    return _float32(np.concatenate([np.empty((len(aligned.ticks_ns), 0)), *columns], axis=1))


def _action(
    parts: Sequence[_Part[ActionGroup]], aligned: Aligned, episode: Episode, fps: int, *, causal: bool
) -> npt.NDArray[np.float32]:
    where, columns = episode.provenance.source_uri, []
    for part in parts:
        recorded, cut_out = episode.streams[part.group.stream], part.track.stream
        picked = aligned.values[part.key]
        columns.append(
            commands(recorded, cut_out, part.group, picked, aligned.ticks_ns, fps=fps, causal=causal, where=where)
        )
    return _float32(np.concatenate(columns, axis=1))


def _control_source(episode: Episode, aligned: Aligned) -> npt.NDArray[np.int64]:
    streams = [stream for stream in episode.of_kind("control") if len(stream)]
    if not streams:
        return np.full((len(aligned.ticks_ns), 1), CONTROL_SOURCES.index("human"), np.int64)
    where, stream = episode.provenance.source_uri, streams[0]
    if len(streams) > 1:
        both = " and ".join(repr(stream.name) for stream in streams[:2])
        raise EpisodeError(f"{both} both say who moved the robot", where=where, code="wrong_value")
    order = np.argsort(stream.time_ns, kind="stable")
    values = np.asarray(stream.values)[order][previous(stream.time_ns[order], aligned.ticks_ns)]
    if values.shape[1] != 1 or not np.isin(values, range(len(CONTROL_SOURCES))).all():
        raise EpisodeError(
            f"stream {stream.name!r} holds no index into {', '.join(CONTROL_SOURCES)}", where=where, code="wrong_value"
        )
    return values.astype(np.int64)


def _float32(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    # A number beyond float32 becomes infinity, which the checks find; it is no reason to warn here.
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _row(episode: Episode, embodiment: Embodiment) -> dict[str, str]:
    origin = episode.provenance
    # What the recording holds is known; a digest that somebody named is believed where it holds nothing.
    calibration = digest_json(episode.calibration) if episode.calibration else origin.calibration_digest
    return {
        "source_uri": origin.source_uri,
        "source_sha256": origin.source_sha256,
        "source_format": origin.source_format,
        "robot_id": origin.robot_id,
        "embodiment": embodiment.name,
        "calibration_digest": calibration,
        "collector_id": origin.collector_id,
        "site": origin.site,
        "scene": origin.scene,
        "recorded_at": origin.recorded_at,
        "licence": origin.licence,
        "consent_ref": origin.consent_ref,
        "outcome": origin.outcome,
    }


def _stream_rows(episode: Episode, misalignment_ms: Mapping[str, float], start_ns: int) -> list[dict[str, Any]]:
    return [
        {
            **stream_facts(episode.streams[name], start_ns=start_ns),
            "worst_misalignment_ms": misalignment_ms.get(name),
        }
        for name in sorted(episode.streams)
    ]
