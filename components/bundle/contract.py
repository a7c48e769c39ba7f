"""What a bundle promises: who it is for, what goes in and what comes out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.core.errors import BundleError, ContractError
from components.core.files import read_json, write_json
from components.core.spec import Embodiment, embodiment_from_dict

CONTRACT_NAME = "contract.json"
# Which end of a flow is noise, by the name of who began it; each is the other's mirror image.
FLOW_CONVENTIONS = ("pi0", "gr00t")
INPUTS = ("images", "state", "tokens")
OUTPUTS = ("actions",)


@dataclass(frozen=True)
class Contract:
    """`chunk`: actions an answer holds; `execute`: how many of them a robot carries out before it asks again.

    `kind`: how actions come about ("chunk_regression"); `preset`: name of the architecture; `text_len`: tokens per
    instruction. `flow_convention`: one of `FLOW_CONVENTIONS`, "" where actions come about without a flow. `inputs` and
    `outputs` name the tensors of the graph, which all have a free batch axis in front.
    """

    embodiment: Embodiment
    chunk: int
    execute: int
    kind: str
    preset: str
    opset: int
    text_len: int
    inputs: tuple[str, ...] = INPUTS
    outputs: tuple[str, ...] = OUTPUTS
    # Bundles from before there was such a policy do not have the field.
    flow_convention: str = ""

    def __post_init__(self) -> None:
        if self.flow_convention and self.flow_convention not in FLOW_CONVENTIONS:
            known = ", ".join(FLOW_CONVENTIONS)
            raise ContractError(f"flow_convention is {self.flow_convention!r}, known are {known}")
        if not 1 <= self.execute <= self.chunk:
            raise ContractError(f"execute is {self.execute}, it must lie between 1 and the chunk of {self.chunk}")

    def shapes(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Tensor name -> (onnxruntime type, shape without the batch axis)."""
        seen, action = self.embodiment.observation, self.embodiment.action
        images, state, tokens = self.inputs
        return {
            images: ("tensor(uint8)", (len(seen.cameras), seen.image_px, seen.image_px, 3)),
            state: ("tensor(float)", (len(seen.state_names),)),
            tokens: ("tensor(int64)", (self.text_len,)),
            self.outputs[0]: ("tensor(float)", (self.chunk, action.dim)),
        }

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def write_contract(folder: Path, contract: Contract) -> None:
    write_json(folder / CONTRACT_NAME, contract.as_dict())


def read_contract(folder: Path) -> Contract:
    """Raises `BundleError` naming the field that is missing, unknown or out of range."""
    path = folder / CONTRACT_NAME
    try:
        value: dict[str, Any] = read_json(path)
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in value.items()}
        fields["embodiment"] = embodiment_from_dict(value["embodiment"])
        contract = Contract(**fields)
    except (ContractError, KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise BundleError(f"not a contract: {error}", where=str(path)) from error
    if (len(contract.inputs), len(contract.outputs)) != (len(INPUTS), len(OUTPUTS)):
        raise BundleError(f"inputs {contract.inputs} and outputs {contract.outputs} are unknown", where=str(path))
    return contract
