"""The model card: what a person should know before this policy moves a robot. Written from records, never by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from components.bundle.contract import Contract
from components.core.records import Record


def card(name: str, contract: Contract, record: Record, parity: Mapping[str, Any]) -> str:
    """Markdown. Says nothing that the records do not say; the digest of the bundle cannot stand in its own file."""
    sections = [
        f"# Policy `{name}`",
        _warning(record),
        f"`{contract.preset}` ({_how(contract)}) for the embodiment `{contract.embodiment.name}`. It answers "
        f"{contract.chunk} actions at {contract.embodiment.action.rate_hz:g} Hz; the robot executes {contract.execute} "
        "of them and asks again.",
        "## What it sees",
        _observation(contract),
        "## What it does",
        _actions(contract),
        "## Where it comes from",
        _origin(record),
        "## Trained on",
        _episodes(record),
        "## Fidelity of the export",
        _parity(parity),
        "## Limits",
        "Actions are cut to the limits above and a NaN is refused; nothing else is known about safety. An instruction "
        f"of more than {contract.text_len} words is refused. How often it succeeds stands in the evaluation report.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _how(contract: Contract) -> str:
    flow = contract.flow_convention
    return f"{contract.kind}, flow convention {flow}" if flow else contract.kind


def _warning(record: Record) -> str:
    if "degradation" not in record.attrs:
        return ""
    return (
        f"**Degraded on purpose, for a rollback drill.** Made from bundle `{record.attrs['derived_from']}` with "
        f"`{record.attrs['degradation']}`. Not for use."
    )


def _observation(contract: Contract) -> str:
    seen = contract.embodiment.observation
    rows = [(f"camera `{camera}`", f"RGB uint8, {seen.image_px} x {seen.image_px} px") for camera in seen.cameras]
    rows += [(f"`{name}`", unit) for name, unit in zip(seen.state_names, seen.state_units, strict=True)]
    return _table(("input", "unit"), [*rows, ("instruction", f"at most {contract.text_len} words")])


def _actions(contract: Contract) -> str:
    rows = [
        (f"`{name}`", group.units, group.representation, group.frame, f"{low:g} .. {high:g}")
        for group in contract.embodiment.action.groups
        for name, low, high in zip(group.names, group.low, group.high, strict=True)
    ]
    return _table(("action", "unit", "representation", "frame", "limits"), rows)


def _origin(record: Record) -> str:
    rows = [*sorted(record.inputs.items()), ("policy.onnx", record.digest)]
    counts = [(name.replace("_", " "), f"{value:,.0f}") for name, value in sorted(record.counts.items())]
    return (
        _table(("what", "sha256"), [(what, f"`{digest}`") for what, digest in rows])
        + "\n\n"
        + _table(("count", "value"), counts)
    )


def _episodes(record: Record) -> str:
    episodes = record.attrs.get("episodes")
    if not episodes:
        return "The checkpoint does not list its episodes."
    rows = [(column, value, str(count)) for column in sorted(episodes) for value, count in episodes[column].items()]
    return _table(("column", "value", "episodes"), rows)


def _parity(parity: Mapping[str, Any]) -> str:
    rows = [
        (batch, f"`{name}`", f"{value:.2e}", f"{entry['rms'][name]:.2e}")
        for batch, entry in sorted(parity["per_batch"].items())
        for name, value in entry["max_abs"].items()
    ]
    head = (
        f"{parity['candidate']} against {parity['reference']} on {parity['samples']} frames of recorded episodes, "
        "before the clamp, in the units above. "
        f"Largest difference {parity['max_abs']:.2e}; the limit is {parity['limit']:g}."
    )
    return head + "\n\n" + _table(("batch", "action", "max", "RMS"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
