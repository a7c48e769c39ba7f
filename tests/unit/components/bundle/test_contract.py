from dataclasses import replace
from pathlib import Path

import pytest

from components.bundle.contract import Contract, read_contract, write_contract
from components.core.errors import BundleError, ContractError
from components.core.files import read_json, write_json
from components.core.spec import SAWYER_CELL

CONTRACT = Contract(SAWYER_CELL, 8, 4, "chunk_regression", "gripline-tiny", 20, 16)


def test_a_contract_comes_back_as_it_was_written(tmp_path: Path):
    write_contract(tmp_path, CONTRACT)
    assert read_contract(tmp_path) == CONTRACT


def test_shapes_follow_from_the_embodiment():
    assert CONTRACT.shapes() == {
        "images": ("tensor(uint8)", (2, 96, 96, 3)),
        "state": ("tensor(float)", (4,)),
        "tokens": ("tensor(int64)", (16,)),
        "actions": ("tensor(float)", (8, 4)),
    }


@pytest.mark.parametrize("convention", ["pi0", "gr00t", ""])
def test_a_contract_says_which_end_of_a_flow_is_noise(tmp_path: Path, convention: str):
    write_contract(tmp_path, replace(CONTRACT, flow_convention=convention))
    assert read_contract(tmp_path).flow_convention == convention


def test_a_contract_from_before_there_were_flows_has_none(tmp_path: Path):
    write_contract(tmp_path, CONTRACT)
    data = read_json(tmp_path / "contract.json")
    del data["flow_convention"]
    write_json(tmp_path / "contract.json", data)
    assert read_contract(tmp_path) == CONTRACT


@pytest.mark.parametrize("execute", [0, 9])
def test_a_robot_cannot_execute_more_than_the_chunk(execute: int):
    with pytest.raises(ContractError, match="between 1 and the chunk of 8"):
        replace(CONTRACT, execute=execute)


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("chunk", None, "'chunk'"),
        ("colour", 1, "'colour'"),
        ("embodiment", None, "'embodiment'"),
        ("execute", 12, "execute is 12"),
        ("flow_convention", "pi1", "flow_convention is 'pi1', known are pi0, gr00t"),
        ("outputs", [], "outputs \\(\\) are unknown"),
    ],
)
def test_a_damaged_contract_is_refused_by_field(tmp_path: Path, field: str, value: object, match: str):
    write_contract(tmp_path, CONTRACT)
    data = read_json(tmp_path / "contract.json")
    data.pop(field, None)
    write_json(tmp_path / "contract.json", data if value is None else data | {field: value})
    with pytest.raises(BundleError, match=match):
        read_contract(tmp_path)


@pytest.mark.parametrize("text", ["[]", "{", ""])
def test_what_is_no_contract_is_refused(tmp_path: Path, text: str):
    (tmp_path / "contract.json").write_text(text)
    with pytest.raises(BundleError, match=r"contract\.json: not a contract"):
        read_contract(tmp_path)
