import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch

from components.bundle.bundle import load_bundle
from components.bundle.contract import Contract
from components.core.errors import ContractError, GateRefused
from components.core.files import read_json, sha256_file
from components.core.records import Record
from components.core.spec import SAWYER_CELL
from components.export.assemble import assemble
from components.export.module import bundle_module, one_thread
from components.export.observations import Observations
from components.transforms.chain import PolicyTransforms

LIMIT = 1e-4
Observe = Callable[..., Observations]


def test_the_bundle_acts_as_torch_does(
    exported: Path, policy: torch.nn.Module, transforms: PolicyTransforms, observe: Observe
):
    bundle, seen = load_bundle(exported), observe(5)
    inputs = transforms.inputs(seen.images, seen.state, seen.instructions)
    with torch.no_grad():
        expected = policy(*(torch.from_numpy(inputs[name]) for name in ("images", "state", "tokens"))).numpy()
    found = bundle.act(seen.images, seen.state, seen.instructions)
    np.testing.assert_allclose(found, transforms.outputs(expected), atol=LIMIT)
    assert np.ptp(found) > 0.5  # a policy that answers nothing would agree with anything
    assert bundle.warm_up() <= LIMIT
    assert len(bundle.warmup) == 4


def test_what_the_export_leaves_behind(exported: Path):
    record, parity = read_json(exported / "record.json"), read_json(exported / "parity.json")
    assert record["digest"] == sha256_file(exported / "policy.onnx")
    assert record["inputs"] == {"checkpoint": "c" * 64}
    assert record["counts"]["graph_bytes"] == (exported / "policy.onnx").stat().st_size
    assert record["counts"]["nodes"] == len(onnx.load(exported / "policy.onnx").graph.node)
    assert (parity["reference"], parity["candidate"], parity["samples"]) == ("torch", "onnxruntime", 7)
    assert parity["max_abs"] <= parity["limit"] == LIMIT
    everything = b"".join(path.read_bytes() for path in exported.iterdir())
    assert not re.search(rb"site-packages|\.py\b|/home/|/root/|/tmp/", everything)


@pytest.mark.parametrize(("said", "answers"), [("pi0", ""), ("", "gr00t"), ("pi0", "gr00t")])
def test_a_contract_with_another_flow_convention_is_refused(
    tmp_path: Path, policy: torch.nn.Module, transforms: PolicyTransforms, contract: Contract, observe: Observe,
    monkeypatch: pytest.MonkeyPatch, said: str, answers: str,
):  # fmt: skip
    monkeypatch.setattr(policy, "head", SimpleNamespace(flow_convention=answers), raising=False)
    with pytest.raises(ContractError, match=f"flow_convention is '{said}', gripline-tiny answers by '{answers}'"):
        bundle_module(
            policy, transforms, tmp_path / "one", contract=replace(contract, flow_convention=said),
            observations=observe(3), record=Record("bundle", ""), limit=LIMIT,
        )  # fmt: skip
    assert not (tmp_path / "one").exists()


def _assemble(exported: Path, folder: Path, seen: Observations, reference: Callable, limit: float) -> None:
    bundle = load_bundle(exported)
    assemble(
        folder,
        (exported / "policy.onnx").read_bytes(),
        bundle.transforms,
        contract=bundle.contract,
        observations=seen,
        reference=reference,
        names=("reference", "onnxruntime"),
        record=Record("bundle", ""),
        limit=limit,
    )


def test_a_graph_that_differs_is_not_put_in_place(exported: Path, tmp_path: Path, observe: Observe):
    session, folder = load_bundle(exported).session, tmp_path / "seed-1"
    _assemble(exported, folder, observe(5), session.run, LIMIT)
    before = sha256_file(folder / "manifest.json")
    with pytest.raises(GateRefused, match=r"seed-1: action dx of onnxruntime differs from reference by 0\.001"):
        _assemble(exported, folder, observe(5), lambda inputs: session.run(inputs) + np.float32(1e-3), LIMIT)
    assert sha256_file(folder / "manifest.json") == before
    assert [path.name for path in tmp_path.iterdir()] == ["seed-1"]
    load_bundle(folder)


def test_transforms_of_another_embodiment_are_refused(
    policy: torch.nn.Module, transforms: PolicyTransforms, contract: Contract, tmp_path: Path, observe: Observe
):
    other = replace(contract, embodiment=SAWYER_CELL)
    with pytest.raises(ContractError, match="image_px is 96, expected 32"):
        bundle_module(
            policy,
            transforms,
            tmp_path / "x",
            contract=other,
            observations=observe(3),
            record=Record("bundle", ""),
            limit=LIMIT,
        )
    assert not (tmp_path / "x").exists()


def test_one_thread_gives_the_threads_back():
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
