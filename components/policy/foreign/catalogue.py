"""All layouts that are known."""

from __future__ import annotations

from pathlib import Path

from components.core.errors import InputError
from components.policy.foreign.layout import Directory, Layout
from components.policy.foreign.lerobot_act import LEROBOT_ACT
from components.policy.foreign.lerobot_diffusion import LEROBOT_DIFFUSION
from components.policy.foreign.openvla import OFT, OPENVLA
from components.policy.foreign.pi0 import LEROBOT_PI0, LEROBOT_PI05, OPENPI_PI0, OPENPI_PI05

# The first that recognises a directory counts.
LAYOUTS: tuple[Layout, ...] = (
    LEROBOT_ACT,
    LEROBOT_DIFFUSION,
    LEROBOT_PI0,
    LEROBOT_PI05,
    OPENPI_PI0,
    OPENPI_PI05,
    OFT,
    OPENVLA,
)
# LeRobot keeps what it trained one folder further down.
_BELOW = ("pretrained_model", "checkpoints/last/pretrained_model")


def directory(path: Path) -> Directory:
    """Raises `InputError` where there is no such folder."""
    if not path.is_dir():
        raise InputError("no such folder", where=str(path))
    for name in _BELOW:
        if (path / name / "config.json").is_file():
            return Directory(path / name)
    return Directory(path)


def recognise(folder: Directory) -> Layout:
    """Raises `InputError` where no layout is, naming those that are known."""
    _ = folder.weights
    for layout in LAYOUTS:
        if layout.recognises(folder):
            return layout
    names = list(folder.weights)
    raise InputError(
        f"of no layout that is known; its {len(names)} tensors begin with {', '.join(names[:3])}",
        where=str(folder.path),
        hint=f"Known: {', '.join(layout.name for layout in LAYOUTS)}",
    )


def layout_for(framework: str, family: str) -> Layout:
    """The layout of a framework for the presets of a family. Raises `InputError` where it has none."""
    for layout in LAYOUTS:
        if (layout.framework, layout.family) == (framework, family):
            return layout
    known = sorted({f"{layout.family} as {layout.framework}" for layout in LAYOUTS})
    raise InputError(f"{framework} has no layout of {family}", hint=f"Known: {', '.join(known)}")
