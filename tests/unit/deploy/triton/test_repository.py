from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from components.core.errors import BundleError
from components.core.spec import SAWYER_CELL
from deploy.client.wire import INPUTS, OUTPUTS
from deploy.triton.repository import ServedPolicy, model_config, read_policy, write_repository


@pytest.fixture
def policy(tmp_path: Path) -> ServedPolicy:
    return ServedPolicy("7", tmp_path / "bundle", "d" * 64, SAWYER_CELL, chunk=8)


def test_inputs_and_outputs_are_those_of_the_wire(policy: ServedPolicy) -> None:
    config = model_config(policy)
    found = {tensor.name: (pb.DataType.Name(tensor.data_type), list(tensor.dims)) for tensor in config.input}
    assert found == {
        "images": ("TYPE_UINT8", [2, 96, 96, 3]),
        "state": ("TYPE_FP32", [4]),
        "instruction": ("TYPE_STRING", [1]),
    }
    assert set(found) == set(INPUTS)
    assert tuple(tensor.name for tensor in config.output) == OUTPUTS
    assert list(config.output[0].dims) == [8, 4]


def test_the_bundle_is_referred_to_not_copied(policy: ServedPolicy, tmp_path: Path) -> None:
    folder = write_repository(tmp_path / "repository", policy)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert files == ["policy/1/model.py", "policy/config.pbtxt"]
    config = text_format.Parse((folder / "policy/config.pbtxt").read_text(), pb.ModelConfig())
    parameters = {name: value.string_value for name, value in config.parameters.items()}
    assert parameters["bundle"] == str(tmp_path / "bundle")
    assert (parameters["bundle_digest"], parameters["policy_version"]) == ("d" * 64, "7")
    assert json.loads(parameters["cameras"]) == ["fixed", "wrist"]
    assert (Path(parameters["project_root"]) / "components" / "bundle").is_dir()


def test_a_repository_is_replaced_as_a_whole(policy: ServedPolicy, tmp_path: Path) -> None:
    stray = write_repository(tmp_path / "repository", policy) / "policy" / "2" / "model.py"
    stray.parent.mkdir()
    stray.write_text("")
    write_repository(tmp_path / "repository", policy)
    assert not stray.parent.exists()


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no manifest\.json"):
        read_policy("1", tmp_path)
