"""π0 and π0.5: openpi's PyTorch models, and LeRobot's, which have the same names behind a prefix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import nn

from components.core.errors import ContractError
from components.policy.foreign import lerobot
from components.policy.foreign.layout import Directory, Layout, Sizes, Target, Written
from components.policy.foreign.numbers import Forms
from components.policy.foreign.rules import Fresh, LeftOut, Table, one, same
from components.policy.foreign.words import word_table
from components.policy.presets import PolicyConfig
from components.transforms.chain import PolicyTransforms
from components.transforms.quantiles import Quantiles

_PALIGEMMA, _EXPERT = "paligemma_with_expert.paligemma", "paligemma_with_expert.gemma_expert"
_WORDS = "trunk.model.embed_tokens.weight"
_EYE = ("embeddings.**", "encoder.layers.**", "post_layernorm.*")


def _table(target: Target, prefix: str, *, adaptive: bool) -> Table:
    """`prefix`: of all names, "" in openpi; `adaptive`: π0.5, whose expert has the time in its norms."""
    seen, expert = f"{prefix}{_PALIGEMMA}.model", f"{prefix}{_EXPERT}"
    # The table is the output layer as well: most files keep it once, under the name of the latter.
    tables = [
        word_table(name, _WORDS, target.words, target.expected[_WORDS].shape[0], whole=False)
        for name in (f"{prefix}{_PALIGEMMA}.lm_head.weight", f"{seen}.language_model.embed_tokens.weight")
    ]
    edges = {"action_in_proj": "action_in", "action_out_proj": "action_out"}
    if adaptive:
        edges |= {"time_mlp_in": "time_in", "time_mlp_out": "time_out"}
    else:
        edges |= {"state_proj": "state_in", "action_time_mlp_in": "time_in", "action_time_mlp_out": "time_out"}
    return Table(
        rules=(
            # transformers 4 has a module more around the eye than 5.
            *same(f"{seen}.vision_tower.vision_model.", "tower.model.", _EYE),
            *same(f"{seen}.vision_tower.", "tower.model.", _EYE),
            one(f"{seen}.multi_modal_projector.linear.*", "connector.layers.0.*"),
            *same(f"{seen}.language_model.", "trunk.model.", ("layers.**", "norm.weight")),
            *same(f"{expert}.model.", "head.expert.model.", ("layers.**", "norm.**")),
            *(one(f"{prefix}{theirs}.*", f"head.{ours}.*") for theirs, ours in edges.items()),
            *(rule for rules, _, _ in tables for rule in rules),
        ),
        left_out=(
            LeftOut(f"{expert}.lm_head.weight", "an output layer of words that the expert never uses"),
            *lerobot.BUFFERS,
            *(left for _, lefts, _ in tables for left in lefts),
        ),
        fresh=(
            Fresh("noise", "where an answer starts; drawn the same for every policy of these sizes"),
            Fresh("state.**", "the state was text there, and has words of its own here"),
            *(fresh for _, _, anew in tables for fresh in anew),
        ),
    )


def _named(folder: Directory, prefix: str) -> bool:
    return folder.has(f"{prefix}action_in_proj.weight", f"{prefix}{_PALIGEMMA}.model.language_model.norm.weight")


def _sizes(prefix: str) -> Callable[[Directory], Sizes]:
    def found(folder: Directory) -> Sizes:
        chunk = folder.config.get("chunk_size") or folder.config.get("action_horizon")
        if not chunk:
            raise ContractError(
                "config.json says neither action_horizon nor chunk_size",
                where=str(folder.path),
                hint='Add {"action_horizon": N} with the number of actions that it was trained to answer',
            )
        width = lerobot.width
        return Sizes(
            int(chunk),
            width(folder, "input_features", "observation.state") if prefix else 0,
            width(folder, "output_features", "action") if prefix else 0,
            lerobot.views(folder),
        )

    return found


def _openpi_beside(*, adaptive: bool) -> Callable[[nn.Module, PolicyConfig, PolicyTransforms], Written]:
    def written(policy: nn.Module, config: PolicyConfig, transforms: PolicyTransforms) -> Written:
        settings = {
            "action_dim": policy.get_parameter("head.action_in.weight").shape[1],
            "action_horizon": config.chunk,
            "paligemma_variant": "gemma_2b",
            "action_expert_variant": "gemma_300m",
            "precision": "float32",
            "pi05": adaptive,
        }
        stats = f"assets/{config.embodiment.name}/norm_stats.json"
        return Written({"config.json": settings, stats: {"norm_stats": _norm_stats(config, transforms)}})

    return written


def _norm_stats(config: PolicyConfig, transforms: PolicyTransforms) -> Mapping[str, Mapping[str, Any]]:
    """Mean and deviation, and quantiles, that both give our scaling, whichever openpi is told to use."""
    limits, state = transforms.actions or config.embodiment.action, transforms.state
    ends = {"actions": (np.asarray(limits.low), np.asarray(limits.high))}
    if isinstance(state, Quantiles):
        ends["state"] = (np.asarray(state.low), np.asarray(state.high))
    else:
        ends["state"] = (np.asarray(state.mean) - state.scale, np.asarray(state.mean) + state.scale)
    return {
        name: {
            "mean": ((low + high) / 2).tolist(),
            "std": ((high - low) / 2).tolist(),
            "q01": low.tolist(),
            "q99": high.tolist(),
        }
        for name, (low, high) in ends.items()
    }


def _lerobot_beside(kind: str) -> Callable[[nn.Module, PolicyConfig, PolicyTransforms], Written]:
    def written(policy: nn.Module, config: PolicyConfig, transforms: PolicyTransforms) -> Written:
        modes, files = lerobot.processors(config, transforms, imagenet=False)
        padded = policy.get_parameter("head.action_in.weight").shape[1]
        settings = {
            "type": kind,
            **lerobot.features(config),
            "normalization_mapping": modes,
            "chunk_size": config.chunk,
            "n_action_steps": config.chunk,
            "max_action_dim": padded,
            "max_state_dim": padded,
        }
        return Written(files.texts | {"config.json": settings}, files.tensors)

    return written


_SOURCE = "openpi 15a9616, src/openpi/models_pytorch, with transformers 4.53.2"
_DIFFERS = (
    "instructions are words of the dataset's own vocabulary; there they were pieces of words, with a line break after",
    "images are resized to a square without keeping their sides' ratio, and none is left out",
)
_STATE_TEXT = "the state was text in the prompt there; here it has words of its own, which have to be learnt"


def _openpi(name: str, *, adaptive: bool) -> Layout:
    marker = "time_mlp_in.weight" if adaptive else "action_time_mlp_in.weight"
    return Layout(
        name=f"openpi-{name}",
        framework="openpi",
        family=name,
        source=_SOURCE,
        recognises=lambda folder: _named(folder, "") and folder.has(marker),
        sizes=_sizes(""),
        forms=lambda _: Forms("q01_q99", "q01_q99") if adaptive else Forms("mean_std", "mean_std"),
        table=lambda target: _table(target, "", adaptive=adaptive),
        beside=_openpi_beside(adaptive=adaptive),
        spells=True,
        differs=(*_DIFFERS, *((_STATE_TEXT,) if adaptive else ())),
    )


def _lerobot(name: str, *, adaptive: bool) -> Layout:
    return Layout(
        name=f"lerobot-{name}",
        framework="lerobot",
        family=name,
        source="LeRobot 0.4.4, lerobot/policies/pi0 and pi05, which keep openpi's names behind `model.`",
        recognises=lambda folder: lerobot.is_type(folder, name) and _named(folder, "model."),
        sizes=_sizes("model."),
        forms=lerobot.forms_of,
        table=lambda target: _table(target, "model.", adaptive=adaptive),
        beside=_lerobot_beside(name),
        spells=True,
        differs=(*_DIFFERS, *((_STATE_TEXT,) if adaptive else ())),
    )


OPENPI_PI0, OPENPI_PI05 = _openpi("pi0", adaptive=False), _openpi("pi05", adaptive=True)
LEROBOT_PI0, LEROBOT_PI05 = _lerobot("pi0", adaptive=False), _lerobot("pi05", adaptive=True)
