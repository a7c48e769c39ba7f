"""What a run of the stage train says of itself before it has made anything, so that it can be followed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.core.files import digest_json, write_bytes, write_json

ABOUT_NAME = "about.json"
SPEED_NAME = "speed.jsonl"


def training_id(inputs: Mapping[str, str], params: Mapping[str, Any]) -> str:
    """Names a run by what it follows from: the digests of its inputs, and the section `train` as JSON.

    A run that was killed and goes on has the same one, and so do the records of the checkpoints that it leaves.
    """
    return digest_json({"inputs": dict(inputs), "params": dict(params)})


def write_about(folder: Path, inputs: Mapping[str, str], params: Mapping[str, Any]) -> str:
    """Writes `about.json` into the folder that holds the folders of its jobs; gives the run's id.

    The process is in it, so that others see whether the run is still under way.
    """
    write_json(folder / ABOUT_NAME, {"inputs": dict(inputs), "params": dict(params), "pid": os.getpid()})
    return training_id(inputs, params)


def keep_speed(work: Path, kept: Path) -> None:
    """Copies what a run that ends says of its speed: it holds times, so it is in no output of the stage."""
    for path in sorted(work.glob(f"*/{SPEED_NAME}")):
        write_bytes(kept / path.parent.name / SPEED_NAME, path.read_bytes())
