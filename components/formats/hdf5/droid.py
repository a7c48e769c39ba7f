"""DROID raw: a folder with `trajectory.h5` (`action/...`, `observation/...`) and `recordings/MP4/SERIAL.mp4`.

Layout: DROID, droid/trajectory_utils/misc.py and trajectory_writer.py. Times are in ms; frame i of a video belongs to
step i. The words of an episode are kept elsewhere, by its uuid. Stereo videos (`SERIAL-stereo.mp4`) and SVO files are
not read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from components.core.episode import StreamKind
from components.core.errors import FormatError
from components.formats.assemble import library_errors
from components.formats.hdf5.calibration import static
from components.formats.hdf5.dialect import Dialect, Scene
from components.formats.hdf5.file import clean, find, place
from components.formats.hdf5.guess import kind_of
from components.formats.hdf5.values import attribute_texts, numbers, text
from components.formats.mapping import StreamRule

RATE_HZ = 15.0
VIDEOS = "recordings/MP4"
_STEREO = "-stereo"
_TIMESTAMP = "observation/timestamp"
_CAMERA_TIMES = ("estimated_capture", "frame_received", "read_end", "read_start")
_ACTION_TIMES = (f"{_TIMESTAMP}/control/step_start", f"{_TIMESTAMP}/robot_state/read_start")
_STATE_TIMES = (f"{_TIMESTAMP}/robot_state/read_start", f"{_TIMESTAMP}/control/step_start")
# camera_utils/info.py
_CAMERA_TYPES = {0: "hand_camera", 1: "varied_camera", 2: "fixed_camera"}
_CONTROL: tuple[tuple[str, dict[str, str]], ...] = (
    (f"{_TIMESTAMP}/skip_action", {"true": "reset", "1": "reset", "false": "human", "0": "human"}),
    ("observation/controller_info/movement_enabled", {"true": "human", "1": "human", "false": "reset", "0": "reset"}),
)
_UNITS = {"joint_position": "rad", "joint_positions": "rad", "joint_velocity": "", "joint_velocities": "rad/s"}
_MOST_METADATA_BYTES = 1 << 20


def recognises(root: h5py.File, demos: list[str], where: str) -> bool:
    return all(isinstance(find(root, name, where=where), h5py.Group) for name in ("action", "observation"))


def streams(scene: Scene) -> dict[str, StreamRule]:
    """Commands, states, who moved the robot, and a camera for each video; each on the clock that DROID kept for it."""
    found = scene.datasets
    made: dict[str, StreamRule] = {}
    for name, dataset in found.items():
        group, _, last = name.rpartition("/")
        kind = kind_of(name, dataset, where=scene.where)
        if kind in ("state", "action", "force") and group in ("action", "observation/robot_state"):
            made[f"action_{last}" if group == "action" else last] = _rule(name, last, kind, group, found)
    for name, meaning in _CONTROL:
        if name in found and "control" not in made:
            times = _first(_ACTION_TIMES, found)
            made["control"] = StreamRule.model_validate(
                {"from": name, "kind": "control", "time": times, "values": meaning}
            )
    for camera, serial in cameras(scene).items():
        times = _first(tuple(f"{_TIMESTAMP}/cameras/{serial}_{which}" for which in _CAMERA_TIMES), found)
        made[camera] = StreamRule(
            source=f"{VIDEOS}/{serial}.mp4", kind="image", time=times or _first(_STATE_TIMES, found)
        )
    return made


def _rule(name: str, last: str, kind: StreamKind, group: str, found: dict[str, h5py.Dataset]) -> StreamRule:
    action = group == "action"
    # misc/transformations.py: positions in metres and Euler angles about fixed x, y, z.
    return StreamRule(
        source=name,
        kind="action" if action else kind,
        time=_first(_ACTION_TIMES if action else _STATE_TIMES, found),
        units=_UNITS.get(last, ""),
        rotation="euler_xyz" if last == "cartesian_position" else "",
        representation="absolute" if action and last.endswith("_position") else "",
    )


def _first(names: tuple[str, ...], found: dict[str, h5py.Dataset]) -> str:
    return next((name for name in names if name in found), "")


def cameras(scene: Scene) -> dict[str, str]:
    """Names of the cameras and the serial numbers of their videos, in the order of these.

    Raises `FormatError` (bad_dataset).
    """
    if scene.folder is None:
        return {}
    serials = sorted(path.stem for path in (scene.folder / VIDEOS).glob("*.mp4") if not path.stem.endswith(_STEREO))
    types = {serial: _camera_type(scene, serial) for serial in serials}
    named: dict[str, str] = {}
    for serial in serials:
        alike = [other for other in serials if types[other] == types[serial]]
        single = len(alike) == 1 and types[serial] != "camera"
        named[types[serial] if single else f"{types[serial]}_{alike.index(serial) + 1}"] = serial
    return named


def _camera_type(scene: Scene, serial: str) -> str:
    name = f"observation/camera_type/{serial}"
    node = find(scene.group, name, where=scene.where)
    if not isinstance(node, h5py.Dataset):
        return "camera"
    values, _ = numbers(node, name, where=scene.where)
    if values.dtype.kind not in "iu" or not values.size:
        return "camera"
    return _CAMERA_TYPES.get(int(values.reshape(-1)[0]), "camera")


def describe(scene: Scene) -> dict[str, str]:
    """Attributes of the file and, where it is there, `metadata_UUID.json` beside it."""
    words = {**_metadata(scene), **attribute_texts(scene.root, where=scene.where)}
    words["outcome"] = _outcome(scene, words)
    words["task"] = words.get("task", "") or words.pop("current_task", "")
    renamed = {"robot_id": "robot_serial_number", "collector_id": "user_id", "site": "lab", "scene": "scene_id"}
    renamed["recorded_at"] = "timestamp"
    for ours, theirs in renamed.items():
        words[ours] = words.get(ours, "") or words.get(theirs, "")
    words["robot_id"] = words["robot_id"] or words.get("robot_serial", "")
    return {key: value for key, value in words.items() if key not in ("success", "failure", "movement_enabled")}


def _metadata(scene: Scene) -> dict[str, str]:
    path = next(iter(sorted(scene.folder.glob("metadata*.json"))), None) if scene.folder else None
    if path is None:
        return {}
    with library_errors(place(scene.where, path.name), code="bad_metadata"):
        if path.stat().st_size > _MOST_METADATA_BYTES:
            raise FormatError("is larger than any", where=place(scene.where, path.name), code="too_large")
        found = json.loads(path.read_text())
        told = {clean(str(key)): text(value) for key, value in found.items()}
    # Paths on the machine that recorded it are of no use to anybody.
    return {key: value for key, value in told.items() if value and not key.endswith("_path")}


def _outcome(scene: Scene, words: dict[str, str]) -> str:
    for outcome in ("success", "failure"):
        if words.get(outcome, "").lower() in ("true", "1", "1.0") or _ever(scene, outcome):
            return outcome
    return "failure" if words.get("success", "").lower() in ("false", "0") else "unknown"


def _ever(scene: Scene, what: str) -> bool:
    """Whether the operator ever pressed the button."""
    name = f"observation/controller_info/{what}"
    node = find(scene.group, name, where=scene.where)
    if not isinstance(node, h5py.Dataset):
        return False
    return bool(np.any(numbers(node, name, where=scene.where)[0]))


def calibration(scene: Scene) -> dict[str, Any]:
    """Extrinsics [x, y, z, roll, pitch, yaw] of what does not move, and intrinsics, by camera. Raises `FormatError`.

    The hand camera moves; what is fixed is where it sits on the gripper (`SERIAL_left_gripper_offset`).
    """
    found: dict[str, dict[str, Any]] = {}
    for what in ("extrinsics", "intrinsics"):
        for name, dataset in scene.datasets.items():
            group, _, camera = name.rpartition("/")
            value = static(dataset, name, where=scene.where) if group == f"observation/camera_{what}" else None
            if value is not None:
                found.setdefault(camera, {})[what] = value
    return {"cameras": found} if found else {}


def videos(folder: Path) -> list[str]:
    """Sources of a folder that are not in its HDF5 file."""
    return sorted(f"{VIDEOS}/{path.name}" for path in (folder / VIDEOS).glob("*.mp4"))


DROID = Dialect(
    "droid",
    recognises,
    streams,
    demos=False,
    describe=describe,
    rate=lambda scene: RATE_HZ,
    unit="ms",
    calibration=calibration,
)
