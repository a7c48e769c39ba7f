"""A bundle that verifies, loads and passes its warm-up, and yet acts worse: what a rollback drill rolls out.

Only closed-loop success suffers. That is its purpose: no check before the canary may find it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from components.bundle.bundle import load_bundle
from components.bundle.contract import Contract, read_contract
from components.bundle.write import GRAPH_NAME
from components.core.errors import UsageError
from components.core.files import read_json
from components.core.stage import configure_logging, exit_code_of
from components.export.assemble import Bundled, assemble
from components.export.degradations import ActionNoise, Degradation
from components.export.graph import serialise
from components.export.observations import Observations

_CLEAN = "clean_actions"


def degrade(
    source: Path, target: Path, degradation: Degradation, *, observations: Observations | None = None
) -> Bundled:
    """Makes a degraded copy of a sealed bundle in `target`.

    The reference of its parity and of its warm-up is the original graph with the degradation repeated in numpy, on
    `observations` or else on the frames of the source's warm-up, with the source's limit. Its record has the inputs of
    the source and attrs `derived_from` (bundle digest) and `degradation`. Raises `UsageError` for a bundle that is
    degraded already, or a degradation that does not fit it.
    """
    bundle = load_bundle(source)
    if "degradation" in bundle.record.attrs:
        raise UsageError("this bundle is degraded already", where=str(source), hint="Start from a trained policy")
    contract = bundle.contract
    attrs = {**bundle.record.attrs, "derived_from": bundle.digest, "degradation": degradation.as_dict()}
    if observations is None:
        cameras = contract.embodiment.observation.cameras
        observations = Observations(bundle.warmup.by_camera(cameras), bundle.warmup.state, bundle.warmup.instructions)

    def reference(inputs: Mapping[str, npt.NDArray]) -> npt.NDArray[np.float32]:
        return degradation.apply(bundle.session.run(inputs), inputs, contract)

    return assemble(
        target,
        degraded_graph((source / GRAPH_NAME).read_bytes(), degradation, contract),
        bundle.transforms,
        contract=contract,
        observations=observations,
        reference=reference,
        names=("the original with the degradation in numpy", "onnxruntime"),
        record=replace(bundle.record, attrs=attrs),
        limit=float(read_json(source / "parity.json")["limit"]),
    )


def degraded_graph(graph: bytes, degradation: Degradation, contract: Contract) -> bytes:
    """Renames what the graph computes and puts the degradation between that and its output."""
    model = onnx.load_from_string(graph)
    out = contract.outputs[0]
    for node in model.graph.node:
        node.output[:] = [_CLEAN if name == out else name for name in node.output]
        node.input[:] = [_CLEAN if name == out else name for name in node.input]
    added = degradation.nodes(_CLEAN, out, contract)
    model.graph.node.extend(added.nodes)
    model.graph.initializer.extend(added.constants)
    return serialise(model)


def main(arguments: Sequence[str] | None = None) -> int:
    """`SOURCE TARGET SIGMA`: noise on every action dimension that is a step from where the robot is."""
    parser = argparse.ArgumentParser(prog="python -m components.export.degrade", description=__doc__)
    parser.add_argument("source", type=Path, help="a sealed bundle")
    parser.add_argument("target", type=Path, help="folder for the degraded copy; replaced where it exists")
    parser.add_argument("sigma", type=float, help="RMS of the error, in normalised action units (1 is half the range)")
    given = parser.parse_args(arguments)
    configure_logging()
    try:
        groups = read_contract(given.source).embodiment.action.groups
        names = tuple(name for group in groups if group.representation == "step_delta" for name in group.names)
        degrade(given.source, given.target, ActionNoise(given.sigma, names))
    except Exception as error:
        return exit_code_of(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
