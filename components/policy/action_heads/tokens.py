"""Actions as words: the last 256 ids of a language model's vocabulary are actions, answered one after the other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from components.core.errors import ContractError
from components.policy.action_heads.head import ActionHead, Batch, masked_mean
from components.policy.losses import Loss
from components.policy.parts.segments import Context, KeysValues
from components.policy.parts.trunk import Trunk

# Ids that are actions; as many edges of bins, and so one bin less.
ACTION_IDS = 256


def edges() -> npt.NDArray[np.float64]:
    """Of the bins, float64 [256], over normalised actions."""
    return np.linspace(-1.0, 1.0, ACTION_IDS)


def centres() -> npt.NDArray[np.float64]:
    """Of the bins, float64 [255]: what an id is read as."""
    return (edges()[:-1] + edges()[1:]) / 2.0


class ActionIds(nn.Module):
    """Chunks of normalised actions as ids and back, as OpenVLA's tokenizer does it (Kim et al. 2024).

    `end`: one past the last id of the vocabulary; -1 is the id before it, and 1 the 256th before it. There are 255 bins
    for 256 ids: an action of exactly 1 has an id of its own and is read as the last bin.
    """

    centres: Tensor

    def __init__(self, end: int, chunk: int, action_dim: int) -> None:
        super().__init__()
        self.end, self.chunk, self.action_dim = end, chunk, action_dim
        constant = torch.tensor(centres(), dtype=torch.float32, device="cpu")
        self.register_buffer("centres", constant, persistent=False)

    @property
    def first(self) -> int:
        """The lowest id that is an action."""
        return self.end - ACTION_IDS

    def write(self, actions: Tensor) -> Tensor:
        """[B, H, A] -> int64 [B, H * A], action after action; cut to [-1, 1]."""
        # Compared as numpy compares: rounded edges would move actions that lie on one.
        bins = torch.from_numpy(edges()).to(actions.device)
        cut = actions.to(torch.float64).clamp(-1.0, 1.0).flatten(1)
        return self.end - torch.bucketize(cut, bins, right=True)

    def read(self, ids: Tensor) -> Tensor:
        """int64 [B, H * A] -> float32 [B, H, A]; an id that is no action is read as the nearest that is."""
        place = (self.end - ids - 1).clamp(0, ACTION_IDS - 2)
        return self.centres[place].unflatten(1, (self.chunk, self.action_dim))


class ActionTokens(ActionHead):
    """Next-token prediction of a chunk's ids, number after number, after all that the trunk has read.

    `rows`: of the output layer, the trunk's table of words has as many; 0: the table is the output layer too. `end`:
    one past the last id of the vocabulary, rows beyond are padding; `scale`: of the logits. Trained by teacher forcing
    with the cross-entropy over all rows; while answering, the most likely id among the 256 is taken each time. Raises
    `ContractError` for a trunk that keeps no keys and values.
    """

    # What it holds is how many numbers one robot's chunk has.
    action_edges = ("ids",)

    def __init__(
        self, trunk: Trunk, chunk: int, action_dim: int, *, end: int, rows: int = 0, scale: float = 1.0
    ) -> None:
        super().__init__()
        if not trunk.caches:
            raise ContractError(
                f"{type(trunk).__name__} keeps no keys and values",
                hint="Actions that follow one another need a trunk that can go on from what it has read",
            )
        self.ids, self.scale = ActionIds(end, chunk, action_dim), scale
        self.out = nn.Linear(trunk.width, rows, bias=False) if rows else None

    def loss(self, context: Context, batch: Batch) -> Loss:
        ids = self.ids.write(batch["actions"])
        logits = functional.linear(self.forced(context, ids), self._rows(context.trunk)) * self.scale
        error = functional.cross_entropy(logits.float().transpose(1, 2), ids, reduction="none")
        return masked_mean(error.view_as(batch["actions"]), batch, "cross_entropy")

    def forced(self, context: Context, ids: Tensor) -> Tensor:
        """Hidden states [B, N, W] from which each of `ids` [B, N] is predicted, by the observation and those before."""
        trunk, count = context.trunk, ids.shape[1] - 1
        hidden, seen = _last(context)
        if not count:
            return hidden
        before = torch.ones(count, count, dtype=torch.bool, device=ids.device).tril()
        rows = (ids.shape[0], -1, -1)
        mask = torch.cat([seen[:, None].expand(-1, count, -1), before.expand(*rows)], dim=2)
        positions = seen.sum(1, keepdim=True) + torch.arange(count, device=ids.device)
        later, _ = trunk.extend(trunk.embed(ids[:, :-1]), context.cache, mask[:, None], positions)
        return torch.cat([hidden, later], dim=1)

    def answer(self, context: Context, noise: Tensor | None = None) -> Tensor:
        return self.ids.read(self.chosen(context))

    def chosen(self, context: Context) -> Tensor:
        """int64 [B, H * A]: the answer as ids, each one the most likely action after those before."""
        total = self.ids.chunk * self.ids.action_dim
        hidden, seen = _last(context)
        first = self._pick(hidden, context.trunk)
        ids = functional.pad(first, (0, total - 1))
        # Of a fixed length, filled from the front: a loop of a graph cannot carry what grows.
        keys, values = (_room(context.cache, part, total - 1) for part in (0, 1))
        places = torch.arange(total, device=ids.device)

        def more(step: Tensor, *_: Tensor) -> Tensor:
            return step < total

        def body(step: Tensor, ids: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, ...]:
            trunk = context.trunk
            embeds = trunk.embed(ids.gather(1, (step - 1).expand(ids.shape[0], 1)))
            mask = torch.cat(
                [seen, (places[:-1] < step - 1).expand(ids.shape[0], -1), torch.ones_like(seen[:, :1])], dim=1
            )
            cache = tuple(
                (torch.cat([key, keys[layer]], 2), torch.cat([value, values[layer]], 2))
                for layer, (key, value) in enumerate(context.cache)
            )
            hidden, longer = trunk.extend(embeds, cache, mask[:, None, None], seen.sum(1, keepdim=True) + step - 1)
            here = (places[:-1] == step - 1)[:, None]
            new_keys, new_values = (torch.stack([layer[part][:, :, -1:] for layer in longer]) for part in (0, 1))
            picked = self._pick(hidden, trunk)
            return (
                step + 1,
                torch.where(places == step, picked, ids),
                torch.where(here, new_keys, keys),
                torch.where(here, new_values, values),
            )

        carried: tuple[Tensor, ...] = (torch.ones((), dtype=torch.int64, device=ids.device), ids, keys, values)
        if torch.compiler.is_exporting():
            from torch._higher_order_ops.while_loop import while_loop

            carried = while_loop(more, body, carried)
        else:
            for _ in range(total - 1):
                carried = body(*carried)
        return carried[1]

    def _pick(self, hidden: Tensor, trunk: Trunk) -> Tensor:
        """[B, 1, W] -> int64 [B, 1]."""
        rows = self._rows(trunk)[self.ids.first : self.ids.end]
        return functional.linear(hidden, rows).argmax(dim=2) + self.ids.first

    def _rows(self, trunk: Trunk) -> Tensor:
        return trunk.table() if self.out is None else self.out.weight


def _last(context: Context) -> tuple[Tensor, Tensor]:
    """Hidden state [B, 1, W] of the last token that is no padding, and `seen` [B, L]."""
    hidden, seen = context.hidden()
    last = (torch.arange(seen.shape[1], device=seen.device) * seen).amax(dim=1)
    return hidden.gather(1, last[:, None, None].expand(-1, 1, hidden.shape[2])), seen


def _room(cache: KeysValues, part: int, length: int) -> Tensor:
    """Zeros [layers, B, heads, length, head width] for keys (part 0) or values (part 1)."""
    like = cache[0][part]
    return like.new_zeros(len(cache), like.shape[0], like.shape[1], length, like.shape[3])
