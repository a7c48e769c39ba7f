"""Diffusion Policy of LeRobot, the convolutional one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from components.policy.foreign.layout import Directory, Layout, Sizes, Target, Written
from components.policy.foreign.lerobot import BUFFERS, features, forms_of, is_type, processors, views, width
from components.policy.foreign.numbers import ACTION, STATE
from components.policy.foreign.rules import Fresh, How, LeftOut, Rule, Table, Tensors, one
from components.policy.presets import PolicyConfig
from components.transforms.chain import PolicyTransforms

_EYES, _UNET, _FILM = "tower.eyes", "head.unet", "head.film"
# Children of torchvision's ResNet as a sequence, by their place in it.
_RESNET = {0: "conv1", 1: "bn1", 4: "layer1", 5: "layer2", 6: "layer3", 7: "layer4"}
_STEPS, _KEYPOINTS, _KERNEL = 128, 32, 5


@dataclass(frozen=True)
class Copied(How):
    """One of theirs is each of ours: an encoder that all cameras share."""

    count: int

    def ours(self, theirs: Tensors) -> Tensors:
        return [theirs[0]] * self.count

    def theirs(self, ours: Tensors) -> Tensors:
        return ours[:1]


@dataclass(frozen=True)
class FilmRows(How):
    """Of each block a matrix over time, state and cameras there; of each of these one over all blocks here.

    `rows`: of each block; `columns`: of state and cameras, time comes before. Of several frames of observation the
    columns are added: the same where nothing moved between them.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]

    def ours(self, theirs: Tensors) -> Tensors:
        blocks = len(self.rows)
        whole, bias = torch.cat(theirs[:blocks]), torch.cat(theirs[blocks:])
        moment, seen = whole.tensor_split((_STEPS,), dim=1)
        frames = max(1, seen.shape[1] // sum(self.columns))
        if seen.shape[1] == frames * sum(self.columns):
            seen = seen.unflatten(1, (frames, -1)).sum(1)
        ends = [sum(self.columns[: at + 1]) for at in range(len(self.columns) - 1)]
        return [moment, bias, *seen.tensor_split(ends, dim=1)]

    def theirs(self, ours: Tensors) -> Tensors:
        moment, bias, *seen = ours
        return [*torch.cat([moment, *seen], 1).split(self.rows), *bias.split(self.rows)]


def _eye(theirs: str, ours: tuple[str, ...]) -> list[Rule]:
    how = Copied(len(ours))

    def rule(there: str, here: str) -> Rule:
        return Rule((f"{theirs}.{there}",), tuple(f"{eye}.{here}" for eye in ours), how)

    resnet = [rule(f"backbone.{place}.**", f"resnet.{name}.**") for place, name in _RESNET.items()]
    return [*resnet, rule("pool.nets.*", "maps.*"), rule("out.*", "out.*")]


def _grids(eyes: Sequence[str]) -> list[LeftOut]:
    """Places of a map; written where their encoder is."""
    why, single = "a table that follows from the sizes", len(eyes) == 1
    shared = LeftOut("diffusion.rgb_encoder.pool.pos_grid", why, f"{eyes[0]}.softmax.places" if single else "")
    numbered = [
        LeftOut(f"diffusion.rgb_encoder.{at}.pool.pos_grid", why, "" if single else f"{eye}.softmax.places")
        for at, eye in enumerate(eyes)
    ]
    return [shared, *numbered]


def _blocks(target: Target) -> list[tuple[str, str]]:
    """The blocks of the U-Net in the order in which they are gone through: theirs, ours."""
    down = target.count(f"{_UNET}.down.*.0.after.0.bias")
    up = target.count(f"{_UNET}.up.*.0.after.0.bias")
    levels = [(f"down_modules.{level}", f"{_UNET}.down.{level}") for level in range(down)]
    levels += [("mid_modules", f"{_UNET}.middle")]
    levels += [(f"up_modules.{level}", f"{_UNET}.up.{level}") for level in range(up)]
    return [(f"diffusion.unet.{theirs}.{half}", f"{ours}.{half}") for theirs, ours in levels for half in (0, 1)]


def _table(target: Target) -> Table:
    eyes = tuple(dict.fromkeys(name.split(".")[2] for name in target.expected if name.startswith(f"{_EYES}.")))
    own = [f"{_EYES}.{eye}" for eye in eyes]
    shared = _eye("diffusion.rgb_encoder", tuple(own))
    apart = [rule for at, eye in enumerate(own) for rule in _eye(f"diffusion.rgb_encoder.{at}", (eye,))]
    blocks, sources = _blocks(target), (STATE.rpartition(".")[2], *eyes)
    parts = ("before", "conv1"), ("after", "conv2")
    rows = tuple(2 * target.expected[f"{ours}.after.0.bias"].shape[0] for _, ours in blocks)
    columns = tuple(target.expected[f"{_FILM}.sources.{name}.weight"].shape[1] for name in sources)
    film = Rule(
        tuple(f"{theirs}.cond_encoder.1.{name}" for name in ("weight", "bias") for theirs, _ in blocks),
        ("head.moment.weight", f"{_FILM}.bias", *(f"{_FILM}.sources.{name}.weight" for name in sources)),
        FilmRows(rows, columns),
    )
    steps, unet = "diffusion.unet.diffusion_step_encoder", "diffusion.unet"
    return Table(
        rules=(
            # Out goes one encoder a camera; with a single camera theirs has no number.
            *(shared + apart if len(own) == 1 else apart + shared),
            *(one(f"{steps}.{place}.*", f"head.time.{place - 1}.*") for place in (1, 3)),
            *(
                one(f"{theirs}.{there}.block.*.*", f"{ours}.{here}.*.*")
                for theirs, ours in blocks
                for here, there in parts
            ),
            *(one(f"{theirs}.residual_conv.*", f"{ours}.around.*") for theirs, ours in blocks),
            film,
            one(f"{unet}.down_modules.*.2.*", f"{_UNET}.shorter.*.*"),
            one(f"{unet}.up_modules.*.2.*", f"{_UNET}.longer.*.*"),
            one(f"{unet}.final_conv.0.block.*.*", f"{_UNET}.smooth.*.*"),
            one(f"{unet}.final_conv.1.*", f"{_UNET}.last.*"),
        ),
        left_out=(
            *_grids(own),
            *BUFFERS,
        ),
        fresh=(Fresh("noise", "where an answer starts; drawn the same for every policy of these sizes"),),
    )


# What our Diffusion Policy is, and others may not be. LeRobot's names of its settings.
_FIXED: dict[str, Any] = {
    "vision_backbone": "resnet18",
    "use_group_norm": True,
    "spatial_softmax_num_keypoints": _KEYPOINTS,
    "kernel_size": _KERNEL,
    "n_groups": 8,
    "diffusion_step_embed_dim": _STEPS,
    "use_film_scale_modulation": True,
    "prediction_type": "epsilon",
    "beta_schedule": "squaredcos_cap_v2",
    "num_train_timesteps": 100,
}


def _refusal(folder: Directory) -> str:
    found = folder.config
    other = [f"{name} is {found[name]!r}" for name, value in _FIXED.items() if name in found and found[name] != value]
    if "observation.environment_state" in found.get("input_features", {}):
        other.append("it reads the state of an environment")
    return "; ".join(other)


def _sizes(folder: Directory) -> Sizes:
    found = folder.config
    sides = width(folder, "input_features", STATE), width(folder, "output_features", ACTION)
    return Sizes(int(found.get("horizon", 16)), *sides, views(folder))


def _beside(policy: nn.Module, config: PolicyConfig, transforms: PolicyTransforms) -> Written:
    modes, written = processors(config, transforms, imagenet=True)
    tensors = policy.state_dict()
    levels = Target(config, tensors).count(f"{_UNET}.down.*.0.after.0.bias")
    settings = {
        "type": "diffusion",
        **features(config),
        "normalization_mapping": modes,
        "n_obs_steps": 1,
        "horizon": config.chunk,
        "n_action_steps": config.chunk,
        "down_dims": [tensors[f"{_UNET}.down.{level}.0.after.0.bias"].shape[0] for level in range(levels)],
        "crop_shape": None,
        "pretrained_backbone_weights": None,
        "use_separate_rgb_encoder_per_camera": len(config.embodiment.observation.cameras) > 1,
        "noise_scheduler_type": "DDIM",
        "num_inference_steps": 10,
        **_FIXED,
    }
    return Written(written.texts | {"config.json": settings}, written.tensors)


LEROBOT_DIFFUSION = Layout(
    name="lerobot-diffusion",
    framework="lerobot",
    family="diffusion",
    source="LeRobot 0.4.4, lerobot/policies/diffusion/modeling_diffusion.py",
    recognises=lambda folder: is_type(folder, "diffusion"),
    sizes=_sizes,
    forms=forms_of,
    table=_table,
    beside=_beside,
    refusal=_refusal,
    differs=(
        "one frame of observation at a time: of several there the weights are added, and the chunk there begins with "
        "the action of the earliest of them",
        "images are resized whole, where LeRobot looks at their middle, and scaled as those of ImageNet",
    ),
)
