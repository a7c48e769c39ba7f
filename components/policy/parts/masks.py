"""Who attends to whom, said by segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from components.core.errors import ContractError
from components.policy.parts.segments import Segment

Within = Literal["full", "causal", "alone"]


@dataclass(frozen=True)
class Rule:
    """How the tokens of one segment attend.

    `within`: to one another ("full"), to those before them ("causal"), or each to itself only ("alone"); `sees`: names
    of other segments, of which all is seen but padding.
    """

    name: str
    within: Within = "full"
    sees: tuple[str, ...] = ()


def causal(names: Sequence[str]) -> tuple[Rule, ...]:
    """Every token sees those before it, as a language model is trained."""
    return tuple(Rule(name, "causal", tuple(names[:place])) for place, name in enumerate(names))


def prefix(names: Sequence[str]) -> tuple[Rule, ...]:
    """Every token sees every other."""
    return tuple(Rule(name, "full", tuple(one for one in names if one != name)) for name in names)


def block_wise(names: Sequence[str]) -> tuple[Rule, ...]:
    """Within a segment all is seen, and of the segments before it."""
    return tuple(Rule(name, "full", tuple(names[:place])) for place, name in enumerate(names))


def attention_mask(segments: Sequence[Segment], rules: Sequence[Rule]) -> Tensor:
    """bool [B, 1, L, L], True where the row attends to the column. A token always attends to itself.

    Raises `ContractError` for a segment without a rule.
    """
    by_name = {rule.name: rule for rule in rules}
    rows = []
    for asking in segments:
        rule = by_name.get(asking.name)
        if rule is None:
            raise ContractError(f"no rule says what the segment {asking.name!r} attends to")
        rows.append(torch.cat([_block(asking, asked, rule) for asked in segments], dim=1))
    allowed = torch.cat(rows, dim=0)
    seen = torch.cat([one.seen for one in segments], dim=1)
    itself = torch.eye(len(allowed), dtype=torch.bool, device=allowed.device)
    return ((allowed & seen[:, None, :]) | itself)[:, None]


def _block(asking: Segment, asked: Segment, rule: Rule) -> Tensor:
    """bool [rows, columns] of one pair of segments, padding apart."""
    shape, device = (asking.embeds.shape[1], asked.embeds.shape[1]), asking.embeds.device
    if asking.name != asked.name:
        return torch.full(shape, asked.name in rule.sees, dtype=torch.bool, device=device)
    whole = torch.ones(shape, dtype=torch.bool, device=device)
    if rule.within == "full":
        return whole
    return whole.tril() if rule.within == "causal" else torch.eye(shape[0], dtype=torch.bool, device=device)


def positions_of(seen: Tensor) -> Tensor:
    """int64 [B, L]: the how-many-th token it is, padding not counted (and so without a place of its own)."""
    return (seen.long().cumsum(dim=1) - 1).clamp(min=0)


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to scores: 0 where `mask` is True, the smallest number elsewhere; bool masks do not export."""
    return torch.where(mask, 0.0, torch.finfo(dtype).min).to(dtype)
