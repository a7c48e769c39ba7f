"""ALOHA and ACT: one file an episode, `observations/{qpos, qvel, effort, images/CAMERA}` and `action` at 50 Hz.

Layout: ACT, record_sim_episodes.py; Mobile ALOHA, record_episodes.py; act-plus-plus, compress_data.py.
"""

from __future__ import annotations

import h5py

from components.formats.hdf5.calibration import stated_calibration
from components.formats.hdf5.dialect import Dialect, Scene
from components.formats.hdf5.file import find
from components.formats.hdf5.guess import rules
from components.formats.hdf5.values import attribute, attribute_texts, text
from components.formats.mapping import StreamRule

# DT of its constants.py is 0.02 s.
RATE_HZ = 50.0
_FLAGS = ("compress", "sim")


def recognises(root: h5py.File, demos: list[str], where: str) -> bool:
    known = (find(root, name, where=where) for name in ("observations/qpos", "observations/images"))
    return any(node is not None for node in known)


def streams(scene: Scene) -> dict[str, StreamRule]:
    """Where `compress` is set, OpenCV was given RGB arrays and took them for BGR: the JPEGs have red and blue swapped.

    The lengths in `/compress_len` are not needed: a JPEG ends in 0xD9 and its padding is zeros. They are float32, and
    their rows skip the cameras that stayed raw (`_depth`), so that by row number they would fit the wrong camera.
    """
    found = scene.datasets
    compressed = bool(attribute(scene.root, "compress", where=scene.where))
    wanted = [name for name in found if name.startswith(("observations/", "action", "base_action"))]
    plain = rules(found, wanted, where=scene.where)
    for name, rule in plain.items():
        if rule.source == "base_action":
            plain[name] = rule.model_copy(update={"kind": "action"})
        if rule.kind == "image" and compressed and found[rule.source].ndim == 2:
            plain[name] = rule.model_copy(update={"order": "bgr"})
    return plain


def describe(scene: Scene) -> dict[str, str]:
    """Attributes of the file; a bare flag says nothing of the episode."""
    words = attribute_texts(scene.root, where=scene.where)
    spoken = text(attribute(scene.root, "language_instruction", where=scene.where))
    if spoken and not words.get("instruction"):
        words["instruction"] = spoken
    return {key: value for key, value in words.items() if key not in _FLAGS}


ALOHA = Dialect(
    "aloha",
    recognises,
    streams,
    demos=False,
    describe=describe,
    rate=lambda scene: RATE_HZ,
    calibration=stated_calibration,
)
