"""Embodiments from YAML: those that come with gripline, and a team's own in its `robots/` folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from components.core.errors import ContractError
from components.core.spec import SAWYER_CELL, ActionGroup, ActionSpec, Embodiment, ObservationSpec, StateGroup

_BUILT_IN = Path(__file__).with_name("embodiments")
_STRICT = ConfigDict(extra="forbid")


def embodiment(name: str, folder: Path | None = None) -> Embodiment:
    """The embodiment `name`: from `folder`/<name>.yaml where there is one, else one that comes with gripline."""
    if folder is not None and (folder / f"{name}.yaml").is_file():
        return load_embodiment(folder / f"{name}.yaml")
    if name == SAWYER_CELL.name:
        return SAWYER_CELL
    path = _BUILT_IN / f"{name}.yaml"
    if Path(name).name != name or not path.is_file():
        raise ContractError(
            f"no embodiment {name!r}; known: {', '.join(known_embodiments(folder))}",
            hint=f"Describe the robot in {folder or 'robots'}/{name}.yaml",
        )
    return load_embodiment(path)


def known_embodiments(folder: Path | None = None) -> list[str]:
    names = {SAWYER_CELL.name, *(path.stem for path in _BUILT_IN.glob("*.yaml"))}
    if folder is not None:
        names |= {path.stem for path in folder.glob("*.yaml")}
    return sorted(names)


def load_embodiment(path: Path) -> Embodiment:
    """One YAML file; its keys are the fields of `core.spec.Embodiment`. Raises `ContractError` per wrong field."""
    try:
        raw = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ContractError(f"cannot be read as YAML ({' '.join(str(error).split())})", where=str(path)) from error
    try:
        found = _from_yaml(raw)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors())
        raise ContractError(wrong, where=str(path)) from error
    except ContractError as error:
        raise ContractError(error.message, where=str(path)) from error
    if found.name != path.stem:
        raise ContractError(f"name is {found.name!r}, the file is called {path.stem!r}", where=str(path))
    return found


def _from_yaml(raw: Any) -> Embodiment:
    """Frozen dataclasses ignore unknown keys in pydantic unless each is told not to."""
    for cls in (ActionGroup, StateGroup, ActionSpec, ObservationSpec, Embodiment):
        _forbid_unknown(cls)
    return TypeAdapter(Embodiment).validate_python(raw)


def _forbid_unknown(cls: type) -> None:
    if not hasattr(cls, "__pydantic_config__"):
        cls.__pydantic_config__ = _STRICT  # type: ignore[attr-defined]
