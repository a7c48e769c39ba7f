from __future__ import annotations

import torch
from torch import Tensor, nn

from components.policy.action_heads.loop import repeated

TABLE = torch.tensor([[1.0], [10.0], [100.0]])


class Doubling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", TABLE)

    def forward(self, start: Tensor) -> Tensor:
        # As noise is: the same row for the whole batch, without a copy.
        return repeated(self._step, start[:, :1].expand(-1, 4), 3)

    def _step(self, point: Tensor, number: Tensor) -> Tensor:
        return 2.0 * point + self.get_buffer("table").index_select(0, number)


def test_every_step_has_its_number():
    torch.testing.assert_close(Doubling()(torch.zeros(2, 1)), torch.full((2, 4), 124.0))


def test_no_step_is_none_at_all():
    start = torch.ones(2, 1)
    assert repeated(lambda point, _: 2.0 * point, start, 0) is start


def test_a_graph_has_the_step_once_and_the_batch_is_free():
    batch = torch.export.Dim("batch")
    program = torch.export.export(Doubling(), (torch.zeros(2, 1),), dynamic_shapes=({0: batch},))
    loops = [node for node in program.graph.nodes if node.target is torch.ops.higher_order.while_loop]
    assert len(loops) == 1
    for rows in (2, 5):
        start = torch.randn(rows, 1, generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(program.module()(start), Doubling()(start))
