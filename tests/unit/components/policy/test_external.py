"""What a foreign policy consists of, and what it says of itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.core.errors import ContractError, RecordError
from components.core.files import write_json
from components.core.spec import SAWYER_CELL
from components.policy.external import (
    DIGEST_FILES,
    Declaration,
    external_contract,
    external_digest,
    is_external,
    plain_transforms,
    read_declaration,
)
from components.transforms.chain import PolicyTransforms

DECLARED = {
    "framework": "mine",
    "framework_version": "1",
    "preset": "linear",
    "seed": 1,
    "steps": 5,
    "chunk": 8,
    "dataset": "d" * 64,
    "action_names": list(SAWYER_CELL.action.names),
    "checkpoint": "weights",
    "metrics": {"loss": 0.1, "val_loss": 0.2},
}
FITTED = PolicyTransforms.fit(SAWYER_CELL, [1.0] * 4, [2.0] * 4, ["open the drawer"], 5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*DIGEST_FILES, "checkpoint/a/weights.bin", "record.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize("name", [*DIGEST_FILES, "checkpoint/a/weights.bin"])
def test_every_file_of_the_policy_is_part_of_its_digest(folder, name):
    before = external_digest(folder)
    (folder / name).write_text("other")
    assert external_digest(folder) != before


def test_where_the_frameworks_files_lie_is_part_of_it_and_a_record_is_not(folder):
    before = external_digest(folder)
    (folder / "record.json").write_text("other")
    assert external_digest(folder) == before
    (folder / "checkpoint" / "a").rename(folder / "checkpoint" / "b")
    assert external_digest(folder) != before


def test_a_file_that_is_gone_is_named(folder):
    (folder / "policy.onnx").unlink()
    with pytest.raises(RecordError, match=r"no policy\.onnx"):
        external_digest(folder)


def test_a_declaration_comes_back_as_it_was_written(tmp_path):
    assert not is_external(tmp_path)
    write_json(tmp_path / "external.json", DECLARED)
    declared = read_declaration(tmp_path)
    assert is_external(tmp_path)
    assert declared.action_names == SAWYER_CELL.action.names
    assert declared.reference == "mine"
    assert read_declaration(tmp_path).model_copy(update={"runtime": "torch"}).reference == "torch"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"steps": 0}, "steps: Input should be greater than 0"),
        ({"framework": ""}, "framework: String should have at least 1 character"),
        ({"metrics": {"loss": 1.0}}, "val_loss is missing"),
        ({"metrics": DECLARED["metrics"] | {"a b": 1}}, "'a b' is no name of a metric"),
        ({"more": 1}, "more: Extra inputs are not permitted"),
    ],
)
def test_a_field_that_is_wrong_is_named(tmp_path, change, match):
    write_json(tmp_path / "external.json", DECLARED | change)
    with pytest.raises(RecordError, match=match):
        read_declaration(tmp_path)


def test_what_is_no_json_is_named(tmp_path):
    (tmp_path / "external.json").write_text("{")
    with pytest.raises(RecordError, match="not JSON"):
        read_declaration(tmp_path)


def test_states_reach_a_foreign_graph_in_physical_units():
    plain = plain_transforms(FITTED)
    assert plain.tokens == FITTED.tokens
    state = np.array([[0.1, -2.0, 3.0, 1e3]], np.float32)
    np.testing.assert_array_equal(plain.state.apply(state), state)


def test_a_contract_is_for_the_actions_of_the_embodiment_and_a_chunk_that_lasts():
    declared = Declaration.model_validate(DECLARED)
    contract = external_contract(declared, FITTED, execute=4, opset=20)
    assert (contract.chunk, contract.preset, contract.text_len) == (8, "linear", 5)
    with pytest.raises(ContractError, match="execute is 9"):
        external_contract(declared, FITTED, execute=9, opset=20)
    swapped = declared.model_copy(update={"action_names": ("dy", "dx", "dz", "effort")})
    with pytest.raises(ContractError, match="action_names is dy, dx, dz, effort, sawyer-cell has dx, dy, dz, effort"):
        external_contract(swapped, FITTED, execute=4, opset=20)
