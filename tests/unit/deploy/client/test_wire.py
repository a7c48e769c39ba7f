from __future__ import annotations

import numpy as np
import pytest

from deploy.client.wire import INPUTS, Answer, read_answer, request_inputs, stack_images


class _Reply:
    """Stands where tritonclient's InferResult stands: named tensors."""

    def __init__(self, **tensors: np.ndarray | None) -> None:
        self._tensors = tensors

    def as_numpy(self, name: str) -> np.ndarray | None:
        return self._tensors.get(name)


_VERSION = np.array([[b"7"], [b"7"]], dtype=np.object_)
_DIGEST = np.array([[b"abc"], [b"abc"]], dtype=np.object_)


def test_images_are_stacked_in_the_policys_order() -> None:
    images = {"wrist": np.full((2, 4, 4, 3), 9, np.uint8), "fixed": np.full((2, 4, 4, 3), 1, np.uint8)}
    found = stack_images(images, ("fixed", "wrist"))
    assert found.shape == (2, 2, 4, 4, 3)
    assert [found[0, camera].max() for camera in range(2)] == [1, 9]


def test_a_request_holds_raw_observations() -> None:
    tensors = request_inputs(np.zeros((2, 2, 4, 4, 3), np.uint8), np.zeros((2, 4), np.float64), ["größer", "b"])
    assert {tensor.name(): tensor.datatype() for tensor in tensors} == INPUTS
    assert [list(tensor.shape()) for tensor in tensors] == [[2, 2, 4, 4, 3], [2, 4], [2, 1]]


def test_an_answer_says_who_made_it() -> None:
    actions = np.ones((2, 8, 4), np.float32)
    found = read_answer(_Reply(actions=actions, policy_version=_VERSION, bundle_digest=_DIGEST))
    assert isinstance(found, Answer)
    assert (found.version, found.bundle_digest, found.actions.shape) == ("7", "abc", (2, 8, 4))


@pytest.mark.parametrize("actions", [None, np.zeros((0, 8, 4), np.float32)])
def test_an_empty_tensor_is_no_answer(actions: np.ndarray | None) -> None:
    with pytest.raises(ValueError, match="empty tensor"):
        read_answer(_Reply(actions=actions, policy_version=_VERSION, bundle_digest=_DIGEST))
