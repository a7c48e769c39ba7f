"""A policy bundle as a Triton model repository: its configuration, and a small model that loads it in place."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from components.bundle.contract import read_contract
from components.bundle.verify import verify
from components.core.files import replace_dir
from components.core.spec import Embodiment
from deploy.client.wire import MODEL
from deploy.triton.environment import PROJECT_ROOT
from deploy.triton.metrics import OUTCOMES

MAX_BATCH = 8
# A robot waits at most this long for others to share a run of the network; one run takes several milliseconds.
QUEUE_DELAY_US = 500


@dataclass(frozen=True)
class ServedPolicy:
    """A bundle as it is served: where it lies, its digest, the registry's version, and what goes in and out.

    `chunk`: actions per answer (H).
    """

    version: str
    bundle: Path
    digest: str
    embodiment: Embodiment
    chunk: int


def read_policy(version: str, bundle: Path) -> ServedPolicy:
    """Verifies the files of a bundle without loading it. Raises `BundleError`."""
    digest = verify(bundle)
    contract = read_contract(bundle)
    return ServedPolicy(version, bundle.resolve(), digest, contract.embodiment, contract.chunk)


def model_config(policy: ServedPolicy) -> pb.ModelConfig:
    """The Triton configuration: raw observations in, actions in physical units out, one instance on the CPU."""
    observation = policy.embodiment.observation
    images = (len(observation.cameras), observation.image_px, observation.image_px, 3)
    actions = (policy.chunk, policy.embodiment.action.dim)
    return pb.ModelConfig(
        name=MODEL,
        backend="python",
        max_batch_size=MAX_BATCH,
        input=[
            pb.ModelInput(name="images", data_type=pb.TYPE_UINT8, dims=images),
            pb.ModelInput(name="state", data_type=pb.TYPE_FP32, dims=[len(observation.state_names)]),
            pb.ModelInput(name="instruction", data_type=pb.TYPE_STRING, dims=[1]),
        ],
        output=[
            pb.ModelOutput(name="actions", data_type=pb.TYPE_FP32, dims=actions),
            pb.ModelOutput(name="policy_version", data_type=pb.TYPE_STRING, dims=[1]),
            pb.ModelOutput(name="bundle_digest", data_type=pb.TYPE_STRING, dims=[1]),
        ],
        instance_group=[pb.ModelInstanceGroup(kind=pb.ModelInstanceGroup.KIND_CPU, count=1)],
        dynamic_batching=pb.ModelDynamicBatching(max_queue_delay_microseconds=QUEUE_DELAY_US),
        parameters={name: pb.ModelParameter(string_value=value) for name, value in _parameters(policy).items()},
    )


def _parameters(policy: ServedPolicy) -> dict[str, str]:
    return {
        "project_root": str(PROJECT_ROOT),
        "bundle": str(policy.bundle),
        "bundle_digest": policy.digest,
        "policy_version": policy.version,
        "metric": OUTCOMES,
        "cameras": json.dumps(policy.embodiment.observation.cameras),
    }


def write_repository(folder: Path, policy: ServedPolicy) -> Path:
    """Replaces the model repository in `folder`; the bundle stays where it is. Returns `folder`."""
    with replace_dir(folder) as temporary:
        version = temporary / MODEL / "1"
        version.mkdir(parents=True)
        (temporary / MODEL / "config.pbtxt").write_text(text_format.MessageToString(model_config(policy)))
        shutil.copyfile(Path(__file__).with_name("python_model.py"), version / "model.py")
    return folder
