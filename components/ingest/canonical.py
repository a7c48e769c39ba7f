"""An episode as it was recorded becomes the frames of the dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.episode import Episode, Stream, episode_id
from components.core.errors import EpisodeError
from components.core.spec import Embodiment
from components.dataset.frames import EpisodeFrames
from components.formats.images import decode_image
from components.ingest.align import Index, Method, align, stream_facts
from components.transforms.steps import ResizeImages

Images = npt.NDArray[np.uint8]

# The state vector is these streams one after the other, in the order of `Embodiment.observation.state_names`.
STATE_STREAMS: Mapping[str, Method] = {"hand": "linear", "gripper": "previous"}
EXTRA_STREAMS: Mapping[str, tuple[str, Method]] = {"joints": ("observation.joints", "linear")}
ACTION_STREAM = "action"


def to_frames(
    episode: Episode, embodiment: Embodiment, *, fps: int, max_misalignment_ms: float, split: str
) -> EpisodeFrames:
    """Frames at `fps`, images at the embodiment's size, float32 state and action.

    Nothing is judged: an instruction may be empty and numbers may be NaN. Raises `EpisodeError` where there is nothing
    to judge: missing_stream, missing_task, wrong_embodiment, wrong_shape, no_overlap, bad_time, bad_image.
    """
    where = episode.provenance.source_uri
    _require_identity(episode, embodiment)
    methods: dict[str, Method] = dict.fromkeys(embodiment.observation.cameras, "nearest")
    methods.update(STATE_STREAMS)
    methods.update({name: method for name, (_, method) in EXTRA_STREAMS.items()})
    methods[ACTION_STREAM] = "command"
    for name in methods:
        episode.stream(name)
    margin_ns = round(max_misalignment_ms * 1e6)
    aligned = align(episode.streams, methods, anchor=ACTION_STREAM, fps=fps, image_margin_ns=margin_ns, where=where)
    images = {
        camera: _images(episode.streams[camera], aligned.index[camera], embodiment.observation.image_px, where)
        for camera in embodiment.observation.cameras
    }
    state = np.concatenate([aligned.values[name] for name in STATE_STREAMS], axis=1)
    action = aligned.values[ACTION_STREAM]
    _require_width("state", state, embodiment.observation.state_names, where)
    _require_width("action", action, embodiment.action.names, where)
    start_ns = min(int(stream.time_ns.min()) for stream in episode.streams.values() if len(stream))
    return EpisodeFrames(
        episode_id=episode_id(episode),
        pixel_sha256=pixel_sha256(images),
        task=episode.task,
        instruction=episode.instruction,
        images=images,
        state=_float32(state),
        action=_float32(action),
        time_s=(aligned.ticks_ns - start_ns) / 1e9,
        row=_row(episode, embodiment, split),
        extras={key: _float32(aligned.values[name]) for name, (key, _) in EXTRA_STREAMS.items()},
        streams=_stream_rows(episode, aligned.misalignment_ms, start_ns),
    )


def pixel_sha256(images: Mapping[str, Images]) -> str:
    """sha256 over the frames of all cameras by name, so that one recording has one hash whatever held it."""
    digest = hashlib.sha256()
    for camera in sorted(images):
        digest.update(f"\0{camera}\0{list(images[camera].shape)}\0".encode())
        digest.update(np.ascontiguousarray(images[camera]).data)
    return digest.hexdigest()


def _require_identity(episode: Episode, embodiment: Embodiment) -> None:
    where = episode.provenance.source_uri
    if not episode.task:
        raise EpisodeError("the recording does not name its task", where=where, code="missing_task")
    # A file that names no embodiment is taken for that of the run: who put it there said so.
    if episode.embodiment not in ("", embodiment.name):
        raise EpisodeError(
            f"recorded by embodiment {episode.embodiment!r}, expected {embodiment.name!r}",
            where=where,
            code="wrong_embodiment",
        )


def _require_width(what: str, values: npt.NDArray[np.float64], names: tuple[str, ...], where: str) -> None:
    if values.shape[1] != len(names):
        raise EpisodeError(
            f"{what} has {values.shape[1]} dimensions, expected {len(names)} ({', '.join(names)})",
            where=where,
            code="wrong_shape",
        )


def _images(stream: Stream, index: Index, image_px: int, where: str) -> Images:
    """uint8 [T, px, px, 3]; a frame that several ticks take is decoded once."""
    wanted, place = np.unique(index, return_inverse=True)
    frames = [decode_image(stream.values[sample], where=where) for sample in wanted]
    shapes = sorted({frame.shape for frame in frames})
    if len(shapes) > 1:
        raise EpisodeError(
            f"camera {stream.name!r} has frames of {' and '.join(str(list(shape)) for shape in shapes)}",
            where=where,
            code="wrong_shape",
        )
    return ResizeImages(image_px).apply(np.stack(frames))[place]


def _float32(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    # A number beyond float32 becomes infinity, which the checks find; it is no reason to warn here.
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _row(episode: Episode, embodiment: Embodiment, split: str) -> dict[str, str]:
    origin = episode.provenance
    return {
        "source_uri": origin.source_uri,
        "source_sha256": origin.source_sha256,
        "source_format": origin.source_format,
        "robot_id": origin.robot_id,
        "embodiment": embodiment.name,
        "calibration_digest": origin.calibration_digest,
        "collector_id": origin.collector_id,
        "site": origin.site,
        "recorded_at": origin.recorded_at,
        "licence": origin.licence,
        "consent_ref": origin.consent_ref,
        "outcome": origin.outcome,
        "split": split,
    }


def _stream_rows(episode: Episode, misalignment_ms: Mapping[str, float], start_ns: int) -> list[dict[str, Any]]:
    return [
        {
            **stream_facts(episode.streams[name], start_ns=start_ns),
            "worst_misalignment_ms": misalignment_ms.get(name),
        }
        for name in sorted(episode.streams)
    ]
