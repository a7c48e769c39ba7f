"""What a foreign trainer is told: the placeholders of its command and the files that they name."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.core.errors import MissingDependency, ParamsError
from components.core.files import sha256_file, tree_manifest, write_json
from components.core.params import Train
from components.core.train_params import External
from components.dataset.layout import ACTION, STATE, image_key
from components.dataset.parts import Part
from components.train.inputs import Inputs
from components.transforms.steps import PADDING_ID, UNKNOWN_ID

PLACEHOLDERS = ("dataset", "episodes", "val_episodes", "out", "seed", "params")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")


def check_external(external: External, root: Path) -> None:
    """Before anything is trained. Raises `ParamsError` naming the argument or path, `MissingDependency` the program."""
    if not external.command:
        raise ParamsError("train.external.command is empty", where="params.yaml")
    for argument in external.command:
        for name in _PLACEHOLDER.findall(argument):
            if name not in PLACEHOLDERS:
                known = ", ".join(f"{{{known}}}" for known in PLACEHOLDERS)
                raise ParamsError(
                    f"train.external.command: {{{name}}} in {argument!r} is unknown",
                    where="params.yaml",
                    hint=f"Known: {known}",
                )
    program = external.command[0]
    if shutil.which(root / program if "/" in program else program) is None:
        raise MissingDependency(f"train.external.command: no program {program!r}", hint="Install it, or name its path")
    code_digests(external, root)


def code_digests(external: External, root: Path) -> dict[str, str]:
    """File below `train.external.code` -> sha256; caches of Python's own are left out."""
    found: dict[str, str] = {}
    for name in external.code:
        path = root / name
        if path.is_file():
            found[name] = sha256_file(path)
        elif path.is_dir():
            tree = tree_manifest(path)
            kept = {inner: digest for inner, digest in tree.items() if "__pycache__" not in inner.split("/")}
            found |= {f"{name.rstrip('/')}/{inner}": digest for inner, digest in kept.items()}
        else:
            raise ParamsError(f"train.external.code: no {name}", where="params.yaml")
    return found


def fill(command: tuple[str, ...], values: Mapping[str, str]) -> list[str]:
    """The command with its placeholders filled in; other braces stay as they are."""
    return [_PLACEHOLDER.sub(lambda match: values[match[1]], argument) for argument in command]


def write_told(folder: Path, out: Path, inputs: Inputs, params: Train, external: External, seed: int) -> dict[str, str]:
    """Writes the files into `folder`; returns placeholder -> value."""
    paths = {"episodes": "train", "val_episodes": "val"}
    for name, split in paths.items():
        (part,) = (inputs.train if split == "train" else inputs.val).parts
        write_json(folder / f"{name}.json", _episodes(part, split, inputs))
    write_json(folder / "params.json", _params(inputs, params, external, seed))
    files = {name: str(folder / f"{name}.json") for name in (*paths, "params")}
    return files | {"dataset": str(part.dataset.root.resolve()), "out": str(out), "seed": str(seed)}


def _episodes(part: Part, split: str, inputs: Inputs) -> dict[str, Any]:
    rows = part.dataset.table(["episode_index", "episode_id", "instruction"]).take(part.rows).to_pylist()
    tokens = inputs.transforms.tokens.apply([row["instruction"] for row in rows])
    lengths = part.dataset.lengths[part.rows].tolist()
    episodes = [
        {**row, "tokens": words.tolist(), "length": length}
        for row, words, length in zip(rows, tokens, lengths, strict=True)
    ]
    return {"dataset": inputs.digests["dataset"], "split": split, "episodes": episodes}


def _params(inputs: Inputs, params: Train, external: External, seed: int) -> dict[str, Any]:
    (part,), transforms = inputs.train.parts, inputs.transforms
    body, tokens = transforms.embodiment, transforms.tokens
    cameras = [image_key(camera) for camera in body.observation.cameras]
    return {
        "seed": seed,
        "settings": dict(external.settings),
        "train": params.model_dump(mode="json", exclude={"external"}),
        "fps": part.dataset.fps,
        "features": {"images": cameras, "state": STATE, "action": ACTION},
        "embodiment": body.as_dict(),
        "tokenizer": {
            "vocabulary": list(tokens.vocabulary),
            "length": tokens.length,
            "padding_id": PADDING_ID,
            "unknown_id": UNKNOWN_ID,
        },
    }
