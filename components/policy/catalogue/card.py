"""What is said of an architecture: where it comes from, what it needs, how large it was published."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Needs:
    """What a preset reads and cannot do without: so many cameras of so many pixels a side, a state, instructions.

    What is False here is taken and never looked at.
    """

    cameras: int = 1
    image_px: int = 1
    state: bool = True
    instructions: bool = True


@dataclass(frozen=True)
class Preset:
    """One size of an architecture.

    `builder`: "module:function" of (shape, *, blind, wordless) -> nn.Module. It is imported when it is first asked for,
    as it brings what the policy is made of. `kind`: how its actions come about, as a bundle's contract says it.
    `learning_rate`: one that suits it, for people and benches; a training takes that of params.yaml alone.
    """

    name: str
    builder: str
    needs: Needs = Needs()
    kind: str = "chunk_regression"
    learning_rate: float | None = None


@dataclass(frozen=True)
class Published:
    """`parameters`: as published, by `source`; of a policy with these sizes. `uncounted`: patterns of names of
    parameters that the publication leaves out of its number; `unbuilt`: what it counts and a policy here does not have,
    and how many parameters that is.
    """

    parameters: int
    source: str
    cameras: int
    image_px: int
    state: int
    action: int
    chunk: int
    vocab_size: int = 32
    text_len: int = 16
    uncounted: tuple[str, ...] = ()
    unbuilt: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Card:
    """A family: the published size first, then the one for a CPU; gripline-tiny has a single size.

    `vision`, `trunk`, `head`: in words. `rate`: control rate that the publication reports. `page`: below `docs/models`.
    """

    family: str
    title: str
    source: str
    vision: str
    trunk: str
    head: str
    rate: str
    page: str
    presets: tuple[Preset, ...]
    published: Published | None = None
