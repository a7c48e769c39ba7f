"""The export stage: every checkpoint becomes a sealed bundle."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

import pyarrow.parquet as pq
from tqdm import tqdm

from components.bundle.contract import Contract
from components.bundle.write import MANIFEST_NAME
from components.core.errors import RecordError
from components.core.files import write_json
from components.core.params import Params
from components.core.records import RECORD_NAME, Record, read_record
from components.core.spec import require_same
from components.core.workspace import Workspace
from components.dataset.reader import Dataset
from components.export.assemble import Bundled
from components.export.external import bundle_external
from components.export.module import bundle_module
from components.export.recorded import Recorded
from components.policy.action_heads.flow import convention_of
from components.policy.checkpoint import checkpoint_digest, load_policy
from components.policy.external import external_digest, is_external
from components.policy.presets import preset_of
from components.transforms.chain import PolicyTransforms

PARITY_NAME = "parity.json"
_CARD_COLUMNS = ("robot_id", "site", "task")

log = logging.getLogger("gripline")


def run(workspace: Workspace, params: Params) -> None:
    """data/train/<name>/ -> data/bundles/<name>/, and data/bundles/parity.json {name: largest difference}.

    Raises `GateRefused` where a graph differs from torch by more than `export.parity_max_abs`, and leaves its folder.
    """
    checkpoints = sorted(path.parent for path in workspace.train.glob(f"*/{RECORD_NAME}"))
    if not checkpoints:
        raise RecordError("no checkpoint", where=str(workspace.train), hint="Run the train stage first")
    recorded = Recorded(workspace.root, Dataset.open(workspace.dataset), params.export.parity_samples)
    summary: dict[str, float] = {}
    for folder in tqdm(checkpoints, desc="export", unit="policy"):
        started = time.monotonic()
        bundled = export_checkpoint(folder, workspace.bundles / folder.name, params, recorded)
        summary[folder.name] = bundled.parity["max_abs"]
        workspace.journal.write(
            "export", policy=folder.name, bundle=bundled.digest, seconds=round(time.monotonic() - started, 3)
        )
        log.info("%s: bundle %s, parity %.2e", folder.name, bundled.digest[:12], bundled.parity["max_abs"])
    _remove_stale(workspace.bundles, keep=set(summary))
    write_json(workspace.bundles / PARITY_NAME, summary)


def export_checkpoint(checkpoint: Path, target: Path, params: Params, recorded: Recorded) -> Bundled:
    """One checkpoint folder -> one sealed bundle."""
    made, foreign = read_record(checkpoint, "checkpoint"), is_external(checkpoint)
    if made.digest != (external_digest if foreign else checkpoint_digest)(checkpoint):
        raise RecordError("the checkpoint is not what its record says", where=str(checkpoint), hint="Train it again")
    if foreign:
        return _export_external(checkpoint, target, params, recorded, made)
    module, config, transforms = load_policy(checkpoint)
    body, observations = recorded.of(transforms.embodiment, made.params, str(checkpoint))
    require_same(body, transforms.embodiment, where=str(checkpoint))
    contract = Contract(
        embodiment=transforms.embodiment,
        chunk=config.chunk,
        execute=params.evaluate.execute,
        kind=preset_of(config.preset).kind,
        preset=config.preset,
        opset=params.export.opset,
        text_len=config.text_len,
        flow_convention=convention_of(module),
    )
    record = Record(
        kind="bundle",
        digest="",
        inputs={"checkpoint": made.digest},
        params={**params.export.model_dump(mode="json"), "execute": contract.execute},
        counts={"parameters": sum(parameter.numel() for parameter in module.parameters())},
        attrs={
            "blind": config.blind,
            "wordless": config.wordless,
            "episodes": _episodes(checkpoint / "episodes.parquet"),
        },
    )
    return bundle_module(
        module,
        transforms,
        target,
        contract=contract,
        observations=observations,
        record=record,
        limit=params.export.parity_max_abs,
    )


def _export_external(checkpoint: Path, target: Path, params: Params, recorded: Recorded, made: Record) -> Bundled:
    told = PolicyTransforms.load(checkpoint).embodiment
    require_same(recorded.of(told, made.params, str(checkpoint))[0], told, where=str(checkpoint))
    record = Record(
        kind="bundle",
        digest="",
        inputs={"checkpoint": made.digest},
        params={**params.export.model_dump(mode="json"), "execute": params.evaluate.execute},
        counts={name: made.counts[name] for name in ("parameters",) if name in made.counts},
        attrs={
            "blind": False,
            "external": made.attrs["external"],
            "episodes": _episodes(checkpoint / "episodes.parquet"),
        },
    )
    limit = params.export.parity_max_abs
    return bundle_external(checkpoint, target, execute=params.evaluate.execute, record=record, limit=limit)


def _episodes(path: Path) -> dict[str, dict[str, int]]:
    """{column: {value: episodes}} of what a policy was trained on. Not by collector: the card names no person."""
    if not path.is_file():
        return {}
    table = pq.read_table(path, columns=list(_CARD_COLUMNS))
    counts = {}
    for column in _CARD_COLUMNS:
        values = table.column(column).to_pylist()
        counts[column] = {value: values.count(value) for value in sorted(set(values))}
    return counts


def _remove_stale(bundles: Path, *, keep: set[str]) -> None:
    """A bundle without a checkpoint would be evaluated as if it were part of this run."""
    for manifest in sorted(bundles.glob(f"*/{MANIFEST_NAME}")):
        if manifest.parent.name not in keep:
            shutil.rmtree(manifest.parent)
