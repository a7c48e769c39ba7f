"""Streams of a tree that gripline wrote: its vectors, cut up again as the embodiment put them together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from components.core.episode import CONTROL_SOURCES, StreamKind
from components.core.spec import ActionGroup, Embodiment, StateGroup, embodiment_from_dict
from components.formats.assemble import library_errors
from components.formats.lerobot.catalog import Camera
from components.formats.lerobot.info import read_json_object
from components.formats.lerobot.own import EPISODES, is_own, require_unchanged
from components.formats.lerobot.tables import opened, row_batches, rows_of_episode
from components.formats.lerobot.template import Template
from components.formats.lerobot.video import Clip
from components.formats.mapping import StreamRule

EMBODIMENT = "meta/gripline/embodiment.json"
CONTROL = "control_source"
_DEPTH_PATH = "meta/gripline/depth/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
# Columns of the table of episodes that say where the depth of a camera lies.
_DEPTH = "depth/"
Group = ActionGroup | StateGroup


def own_rules(root: Path, *, where: str) -> dict[str, StreamRule]:
    """A rule for each stream of the embodiment, {} where the tree names none. Raises `FormatError` (bad_metadata)."""
    if not (root / EMBODIMENT).is_file():
        return {}
    require_unchanged(root, EMBODIMENT, where=where)
    place = f"{where}/{EMBODIMENT}"
    raw = read_json_object(root / EMBODIMENT, where=place, code="bad_metadata")
    with library_errors(place, code="bad_metadata"):
        return embodiment_rules(embodiment_from_dict(raw))


def embodiment_rules(embodiment: Embodiment) -> dict[str, StreamRule]:
    """A rule for each stream of a dataset of this robot; sources are feature keys, or `depth_source` of a camera."""
    seen = embodiment.observation
    rules = {camera: StreamRule(source=f"observation.images.{camera}", kind="image") for camera in seen.cameras}
    rules |= {camera: StreamRule(source=depth_source(camera), kind="depth") for camera in seen.depth}
    rules |= _cut("observation.state", "state", seen.state)
    for stream in dict.fromkeys(group.stream for group in seen.kept):
        kept = _cut(f"observation.{stream}", "state", [group for group in seen.kept if group.stream == stream])
        rules = kept | rules
    # An action that is measured comes from a stream of the state, which has it already.
    rules = _cut("action", "action", embodiment.action.groups) | rules
    values: Any = {str(index): source for index, source in enumerate(CONTROL_SOURCES)}
    return {CONTROL: StreamRule(source=CONTROL, kind="control", values=values)} | rules


def _cut(source: str, kind: StreamKind, groups: Sequence[Group]) -> dict[str, StreamRule]:
    """A rule for each stream of some groups that lie one after the other in the columns of `source`."""
    columns: dict[str, list[int]] = {}
    members: dict[str, list[Group]] = {}
    width = 0
    for group in groups:
        columns.setdefault(group.stream, []).extend(range(width, width + len(group.names)))
        members.setdefault(group.stream, []).append(group)
        width += len(group.names)
    return {
        stream: StreamRule(
            source=source,
            kind=kind,
            select=tuple(columns[stream]),
            names=tuple(name for group in of_stream for name in group.names),
            units=_same(group.units for group in of_stream),
            rotation=_same(group.rotation for group in of_stream),
            representation=_same(getattr(group, "representation", "") for group in of_stream),
            gripper=_gripper(of_stream),
        )
        for stream, of_stream in members.items()
    }


def _same(values: Iterable[str]) -> str:
    """What all groups of a stream have in common; a stream cannot say more."""
    found = set(values)
    return found.pop() if len(found) == 1 else ""


def _gripper(groups: Sequence[Group]) -> tuple[float, float] | None:
    for group in groups:
        if isinstance(group, ActionGroup) and group.gripper_open is not None and group.gripper_closed is not None:
            return group.gripper_open, group.gripper_closed
    return None


def depth_source(camera: str) -> str:
    return f"meta/gripline/depth/{camera}"


def depth_cameras(root: Path, episode: int, fps: float, *, where: str) -> dict[str, Camera]:
    """Source of each depth camera of an episode -> where its frames lie. Raises `FormatError`."""
    place, found = f"{where}/{EPISODES}", {}
    row = _depth_row(root, episode, place)
    for camera in sorted({name.removeprefix(_DEPTH).rpartition("/")[0] for name in row if name.startswith(_DEPTH)}):
        first = row[f"{_DEPTH}{camera}/first_frame"]
        if first >= 0:
            at = {name: row[f"{_DEPTH}{camera}/{name}"] for name in ("chunk_index", "file_index")}
            path = Template(_DEPTH_PATH, place).path(at, video_key=camera)
            clip = Clip(first / fps, (first + row["length"] - 0.5) / fps)
            found[depth_source(camera)] = Camera(path, clip, (root / path).is_file())
    return found


def _depth_row(root: Path, episode: int, place: str) -> dict[str, Any]:
    """What the table of episodes says of the depth of an episode; {} where it says nothing."""
    if not is_own(root):
        return {}
    with opened(root / EPISODES, where=place, code="bad_metadata") as file:
        names = [name for name in file.schema_arrow.names if name.startswith(_DEPTH)]
    rows = rows_of_episode(root / EPISODES, episode, where=place)
    for batch in row_batches(rows, ["length", *names], where=place) if names else ():
        row: dict[str, Any] = batch.to_pylist()[0]
        return row
    return {}
