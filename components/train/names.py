"""Names of parameters and modules: what a pattern covers, and what somebody may have meant instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from components.core.errors import ParamsError

# How PEFT calls the layer that it puts adapters beside, and the adapters.
_BASE = ".base_layer"
_ADAPTER = "lora_"
# Where `Bodies` has the policy of each robot.
_OF_A_ROBOT = re.compile(r"^policies\.\d+\.")


def plain(name: str) -> str:
    """The name of a parameter in a policy of one robot without adapters, whatever it is part of now.

    "head.first.base_layer.weight" -> "head.first.weight", "policies.1.head.last.bias" -> "head.last.bias".
    """
    return _OF_A_ROBOT.sub("", name.replace(_BASE, ""))


def beside_adapter(name: str) -> bool:
    """Whether a parameter belongs to a layer that adapters stand beside; it never trains."""
    return f"{_BASE}." in name


def is_adapter(name: str) -> bool:
    return any(part.startswith(_ADAPTER) for part in name.split("."))


def covered(pattern: str, names: Iterable[str]) -> list[str]:
    """Names that match, as in a shell; a dot is a letter like any other."""
    return [name for name in names if fnmatchcase(name, pattern)]


def require_match(setting: str, pattern: str, names: Sequence[str], what: str) -> None:
    """Raises `ParamsError` with the nearest names where `pattern` matches none."""
    if covered(pattern, names):
        return
    wanted = pattern.strip("*?.")
    # A part of a name may be what was meant: "eyes" for "eye.*".
    parts = {".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 2)}
    near = difflib.get_close_matches(wanted, sorted(parts), n=3, cutoff=0.0)
    raise ParamsError(f"{setting}: {pattern!r} matches no {what}", hint=f"The nearest names are {', '.join(near)}")
