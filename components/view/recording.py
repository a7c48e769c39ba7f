"""One episode as a Rerun recording: cameras, depth, state, action and who moved the robot, on sensor time."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.core.files import fsync
from components.dataset.pictures import depth_frames
from components.view.find import Chosen
from components.view.signals import Signals

if TYPE_CHECKING:
    import rerun as rr

APPLICATION = "gripline"
TIMELINES = ("sensor_time", "frame")
# Depth frames are sent in blocks of so many: one alone would cost a chunk each, all at once gigabytes.
_BLOCK = 32
_PER_METRE = 1000.0


def write_recording(path: Path, chosen: Chosen, signals: Signals, jpegs: Mapping[str, Sequence[bytes]]) -> None:
    """Writes an .rrd: whole or not at all. `jpegs`: camera -> T frames.

    The recording id is the episode id, and the same episode gives the same content; the bytes differ, since Rerun
    numbers its chunks by the clock.
    """
    import rerun as rr

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        stream = rr.RecordingStream(APPLICATION, recording_id=chosen.episode_id, send_properties=False)
        stream.save(temporary, default_blueprint=_blueprint(chosen, signals))
        _send(stream, chosen, signals, jpegs)
        stream.flush()
        stream.disconnect()
        temporary.chmod(0o644)
        fsync(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync(path.parent)


def _send(stream: rr.RecordingStream, chosen: Chosen, signals: Signals, jpegs: Mapping[str, Sequence[bytes]]) -> None:
    import rerun as rr

    ticks = np.arange(len(signals.time_s))
    for camera, pictures in jpegs.items():
        columns = rr.EncodedImage.columns(blob=list(pictures), media_type=["image/jpeg"] * len(pictures))
        _columns(stream, f"cameras/{camera}", signals, ticks, columns)
    for camera in chosen.dataset.depth_cameras(chosen.index):
        _send_depth(stream, chosen, signals, camera)
    for group in signals.groups:
        names = [f"{name} ({group.units})" if group.units else name for name in group.names]
        rr.log(group.path, rr.SeriesLines(names=names), static=True, recording=stream, strict=True)
        values = np.asarray(group.values, np.float64)
        _columns(stream, group.path, signals, ticks, rr.Scalars.columns(scalars=values))
    spans = signals.spans()
    if spans:
        starts = np.array([span["from"] for span in spans])
        words = rr.TextLog.columns(text=[span["source"] for span in spans])
        _columns(stream, "control_source", signals, starts, words)
    said = "\n".join(f"- {name}: {value}" for name, value in chosen.row.items() if value != "")
    judged = f"\n- verdict: {chosen.verdict} {' '.join(chosen.codes)}".rstrip() if chosen.verdict else ""
    document = rr.TextDocument(said + judged, media_type=rr.MediaType.MARKDOWN)
    rr.log("episode", document, static=True, recording=stream, strict=True)


def _send_depth(stream: rr.RecordingStream, chosen: Chosen, signals: Signals, camera: str) -> None:
    import rerun as rr

    block: list[Any] = []
    for tick, image in enumerate(depth_frames(chosen.dataset, chosen.index, camera)):
        block.append(image)
        if len(block) == _BLOCK or tick + 1 == len(signals.time_s):
            height, width = image.shape
            form = rr.components.ImageFormat(width=width, height=height, channel_datatype="U16", color_model="L")
            columns = rr.DepthImage.columns(
                buffer=[one.tobytes() for one in block],
                format=[form] * len(block),
                meter=[_PER_METRE] * len(block),
            )
            _columns(stream, f"depth/{camera}", signals, np.arange(tick + 1 - len(block), tick + 1), columns)
            block = []


def _columns(stream: rr.RecordingStream, path: str, signals: Signals, ticks: Any, columns: Any) -> None:
    import rerun as rr

    when = [
        rr.TimeColumn(TIMELINES[0], duration=signals.time_s[ticks]),
        rr.TimeColumn(TIMELINES[1], sequence=ticks),
    ]
    rr.send_columns(path, when, columns, recording=stream, strict=True)


def _blueprint(chosen: Chosen, signals: Signals) -> Any:
    """Pictures above, numbers below; who it was at the side."""
    import rerun.blueprint as rrb

    cameras = [rrb.Spatial2DView(origin=f"cameras/{name}", name=name) for name in chosen.dataset.cameras]
    depth = [
        rrb.Spatial2DView(origin=f"depth/{name}", name=f"{name} (depth)")
        for name in chosen.dataset.depth_cameras(chosen.index)
    ]
    series = [rrb.TimeSeriesView(origin=group.path, name=group.path) for group in signals.groups]
    side: list[Any] = [rrb.TextDocumentView(origin="episode", name="episode")]
    if signals.control is not None:
        side.append(rrb.TextLogView(origin="control_source", name="who moved it"))
    body = rrb.Vertical(rrb.Horizontal(*cameras, *depth), rrb.Grid(*series))
    return rrb.Blueprint(rrb.Horizontal(body, rrb.Vertical(*side), column_shares=[4, 1]), collapse_panels=True)
