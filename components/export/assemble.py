"""All files of a bundle, written, sealed, loaded once as a robot would, and only then put in place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from components.bundle.bundle import load_bundle
from components.bundle.contract import Contract, write_contract
from components.bundle.session import PolicySession
from components.bundle.warmup import Warmup, write_warmup
from components.bundle.write import GRAPH_NAME, seal
from components.core.errors import GateRefused
from components.core.files import replace_dir, sha256_bytes, write_bytes, write_json, write_text
from components.core.records import Record, write_record
from components.export.card import card
from components.export.graph import node_count
from components.export.observations import Observations
from components.export.parity import Policy, measure, require_parity
from components.transforms.chain import PolicyTransforms

WARMUP_SAMPLES = 4


@dataclass(frozen=True)
class Bundled:
    """What came of it. `parity`: as written to parity.json; `record`: as written to record.json."""

    digest: str
    parity: dict[str, Any]
    record: Record


def assemble(
    folder: Path,
    graph: bytes,
    transforms: PolicyTransforms,
    *,
    contract: Contract,
    observations: Observations,
    reference: Policy,
    names: tuple[str, str],
    record: Record,
    limit: float,
) -> Bundled:
    """Makes a bundle of a serialised graph. `reference` says which normalised actions are right; nothing is put in
    place where the graph, or the loaded bundle on its warm-up example, differs from it by more than `limit`."""
    counts = {**record.counts, "nodes": node_count(onnx.load_from_string(graph).graph), "graph_bytes": len(graph)}
    record = replace(record, digest=sha256_bytes(graph), counts=counts)
    with replace_dir(folder) as partial:
        write_bytes(partial / GRAPH_NAME, graph)
        session = PolicySession(partial / GRAPH_NAME, contract)
        inputs = transforms.inputs(observations.images, observations.state, observations.instructions)
        parity = measure(reference, session.run, inputs, contract.embodiment.action, names=names)
        parity["limit"] = limit
        require_parity(parity, limit, where=folder.name)
        write_json(partial / "parity.json", parity)
        write_contract(partial, contract)
        transforms.save(partial)
        write_warmup(partial, _warmup(reference, transforms, observations))
        write_record(partial, record)
        write_text(partial / "card.md", card(folder.name, contract, record, parity))
        digest = seal(partial)
        off = load_bundle(partial, expect=contract.embodiment).warm_up()
        if off > limit:
            raise GateRefused(f"the warm-up is off by {off:.3g}, the limit is {limit:g}", where=folder.name)
    return Bundled(digest, parity, record)


def _warmup(reference: Policy, transforms: PolicyTransforms, observations: Observations) -> Warmup:
    some = observations.spread(WARMUP_SAMPLES)
    inputs = transforms.inputs(some.images, some.state, some.instructions)
    cameras = transforms.embodiment.observation.cameras
    images = np.stack([some.images[camera] for camera in cameras], axis=1)
    return Warmup(images, some.state, some.instructions, transforms.outputs(reference(inputs)))
