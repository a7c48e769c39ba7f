"""Which parts of a policy belong to one robot, and which every robot may share."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from components.core.errors import ContractError


@dataclass(frozen=True)
class Adapters:
    """What a preset says of its modules, as a class attribute `adapters`; what is not named here is the trunk.

    `state`, `action`: names of modules or tensors that read the robot's state or write its actions, and so belong to
    one robot; `cameras`: modules whose children are named by `module_key` of a camera, the same eye wherever a camera
    has that name; `rows`: tensors whose leading rows keep their meaning when they grow (words, places, steps of a
    chunk). The split into a trunk and what is at its edges is that of HPT (Wang et al. 2024) and GR00T N1 (2025).
    """

    state: tuple[str, ...]
    action: tuple[str, ...]
    cameras: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()

    def edge_of(self, name: str) -> str:
        """ "state" or "action" for what belongs to one robot, "" for the trunk; `name` of a module or tensor."""
        if any(_within(name, one) for one in self.state):
            return "state"
        return "action" if any(_within(name, one) for one in self.action) else ""

    def camera_of(self, name: str) -> str:
        """The key of the camera that a module or tensor belongs to, "" for none."""
        for owner in self.cameras:
            key = name[len(owner) + 1 :].partition(".")[0] if _within(name, owner) else ""
            if key.startswith(_CAMERA):
                return key
        return ""


_CAMERA = "camera_"


def module_key(camera: str) -> str:
    """A name for the module of a camera: torch allows no dots, and no name that a module has already."""
    return _CAMERA + camera.replace(".", "_")


def adapters_of(policy: nn.Module, preset: str) -> Adapters:
    """What the preset declares. Raises `ContractError` where it declares nothing."""
    found = getattr(policy, "adapters", None)
    if not isinstance(found, Adapters):
        raise ContractError(
            f"preset {preset!r} does not say which of its modules belong to one robot",
            hint="Give its class an attribute `adapters`, as gripline-tiny has one, or train one embodiment afresh",
        )
    return found


def _within(name: str, owner: str) -> bool:
    return name == owner or name.startswith(f"{owner}.")
