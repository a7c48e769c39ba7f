"""LIBERO: robomimic's layout with the instruction in `problem_info`, and images in the convention of their renderer.

Layout: LIBERO, scripts/create_dataset.py; scripts/collect_demonstration.py writes robosuite's with the same words.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

import h5py

from components.core.errors import EpisodeError
from components.formats.assemble import Times
from components.formats.hdf5 import robomimic, robosuite
from components.formats.hdf5.dialect import DATA, Scene
from components.formats.hdf5.file import find
from components.formats.hdf5.guess import rules
from components.formats.hdf5.values import attribute_json, attribute_text, text
from components.formats.mapping import StreamRule


def recognises(root: h5py.File, demos: list[str], where: str) -> bool:
    return any(name in root[DATA].attrs for name in ("problem_info", "bddl_file_name"))


def streams(scene: Scene) -> dict[str, StreamRule]:
    """As robomimic's, but depth is left out: LIBERO keeps the depth buffer of the renderer, which is no distance."""
    if not _rendered(scene):
        return robosuite.streams(scene)
    found = scene.datasets
    # The renderer's first row is the lowest one; "opencv" images were turned over when they were made.
    upside_down = attribute_text(scene.data, "macros_image_convention", where=scene.where) == "opengl"
    wanted = [name for name in found if name.startswith(("obs/", "action"))]
    made = rules(found, wanted, where=scene.where, flip=upside_down)
    return {name: rule for name, rule in made.items() if rule.kind != "depth"}


def describe(scene: Scene) -> dict[str, str]:
    """Raises `FormatError` (bad_attribute) and `EpisodeError` (bad_instruction): LIBERO has words nowhere else."""
    words = robomimic.describe(scene)
    told = attribute_json(scene.data, "problem_info", where=scene.where).get("language_instruction", "")
    if isinstance(told, list):
        told = " ".join(text(word) for word in told)
    if not isinstance(told, str):
        raise EpisodeError(
            f"the instruction in problem_info is {told!r}, expected words", where=scene.where, code="bad_instruction"
        )
    # Some writers keep the quotation marks of the file that it was taken from.
    words["instruction"] = words["instruction"] or text(told).strip().strip('"').strip()
    bddl = attribute_text(scene.data, "bddl_file_name", where=scene.where)
    if bddl:
        words["task"] = PurePosixPath(bddl).stem
    return words


def clock(scene: Scene) -> Times | None:
    return None if _rendered(scene) else robosuite.clock(scene)


def _rendered(scene: Scene) -> bool:
    """Whether there are observations; before they are rendered a file holds states and actions alone."""
    return find(scene.group, "obs", where=scene.where) is not None


LIBERO = replace(
    robomimic.ROBOMIMIC, name="libero", recognises=recognises, streams=streams, describe=describe, clock=clock
)
