"""A checkpoint of a foreign trainer becomes one that `train.start_from` takes, with the statistics of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core.errors import ContractError, InputError, UsageError
from components.core.files import replace_dir, write_json, write_text
from components.core.spec import Embodiment, require_same
from components.dataset.layout import ACTION, STATE
from components.dataset.parts import Part, parts_of
from components.dataset.statistics.base import BaseStats, read_base
from components.dataset.statistics.compare import Comparison, compare
from components.dataset.statistics.merging import running_of_parts
from components.dataset.stats import RunningStats
from components.policy.checkpoint import save_policy
from components.policy.foreign.catalogue import directory
from components.policy.foreign.importing import Plan, bring, plan
from components.policy.presets import preset_of
from components.transforms.chain import fit_tokens
from components.transforms.steps import WordTokens

REPORT_NAME, TABLE_NAME = "import.json", "import.md"


@dataclass(frozen=True)
class Wanted:
    """`statistics`: file or folder of them, where they do not lie in the checkpoint; `member`: which of several in it.

    `dataset`: its words are known from the start, and its numbers compared with those of the checkpoint.
    """

    folder: Path
    preset: str
    body: Embodiment
    out: Path
    statistics: Path | None = None
    member: str = ""
    dataset: Path | None = None


@dataclass(frozen=True)
class Imported:
    """`made`: the plan, with the report on every tensor; `value`: all that import.json says."""

    made: Plan
    value: dict[str, Any]
    comparison: Comparison | None


def planned(wanted: Wanted) -> Plan:
    """What an import would do; of the weights only the headers are read."""
    if wanted.out.exists():
        raise UsageError(f"{wanted.out} exists", hint="Give another --out, or remove it")
    return plan(directory(wanted.folder), wanted.preset, wanted.body, _tokens(wanted, _parts(wanted)))


def import_checkpoint(wanted: Wanted, made: Plan) -> Imported:
    """Writes the checkpoint, import.json and import.md, and how the data compare where there are any.

    Raises `ContractError` where not every tensor fits or the statistics do not, `InputError` where none can be found.
    Nothing is written then.
    """
    made.report.require_fit(str(wanted.folder))
    parts = _parts(wanted)
    running = running_of_parts(parts, [STATE, ACTION]) if parts else {}
    stats, origin = _statistics(wanted, made, running)
    brought = bring(made, _tokens(wanted, parts), stats)
    notes = list(brought.notes)
    comparison = None
    if running:
        names = {STATE: wanted.body.observation.state_names, ACTION: wanted.body.action.names}
        comparison = compare(running, stats, names=names)
    value = made.as_dict() | {"statistics": origin, "notes": notes}
    value["comparison"] = None if comparison is None else comparison.as_dict()
    with replace_dir(wanted.out) as temporary:
        value["digest"] = save_policy(temporary, brought.policy, made.config, brought.transforms)
        write_json(temporary / REPORT_NAME, value)
        write_text(temporary / TABLE_NAME, markdown(value, comparison))
    return Imported(made, value, comparison)


def markdown(value: dict[str, Any], comparison: Comparison | None) -> str:
    """import.md: what became of every tensor, as tables."""
    lines = [f"# {value['layout']} as {value['preset']} of {value['embodiment']}", ""]
    lines += [f"- {note}" for note in value["notes"]]
    lines += ["", "| ours | shape | made of |", "|---|---|---|"]
    lines += [f"| `{name}` | {of['shape']} | `{'`, `'.join(of['from'])}` |" for name, of in value["taken"].items()]
    for title, entries in (("left out", value["left_out"]), ("drawn", value["fresh"])):
        if entries:
            lines += [
                "",
                f"| {title} | why |",
                "|---|---|",
                *(f"| `{name}` | {why} |" for name, why in entries.items()),
            ]
    if comparison is not None:
        lines += ["", f"The data and its statistics: {comparison.verdict}.", "", comparison.markdown()]
    return "\n".join(lines).rstrip("\n") + "\n"


def _parts(wanted: Wanted) -> Sequence[Part]:
    if wanted.dataset is None:
        return ()
    parts = [part for part in parts_of(wanted.dataset) if part.dataset.embodiment.name == wanted.body.name]
    if not parts:
        raise ContractError(f"no episodes of {wanted.body.name}", where=str(wanted.dataset))
    for part in parts:
        require_same(wanted.body, part.dataset.embodiment, where=str(wanted.dataset))
    return parts


def _tokens(wanted: Wanted, parts: Sequence[Part]) -> WordTokens:
    said = {text for part in parts for text in part.dataset.table(["instruction"]).take(part.rows)[0].to_pylist()}
    return fit_tokens(sorted(said), wordless=not preset_of(wanted.preset).needs.instructions)


def _statistics(wanted: Wanted, made: Plan, running: dict[str, RunningStats]) -> tuple[BaseStats, str]:
    """Those of the checkpoint, else of the data; and which they are."""
    if wanted.statistics is not None:
        return read_base(wanted.statistics, wanted.member), str(wanted.statistics)
    try:
        return read_base(made.folder.path, wanted.member), "the checkpoint's own"
    except InputError as error:
        if not running or not str(error.message).startswith("no statistics"):
            hint = error.hint or "Name them with --statistics FILE, or take those of your data with --dataset DIR"
            raise InputError(error.message, where=error.where, hint=hint) from error
    return {key: dict(one.result()) for key, one in running.items()}, f"of {wanted.dataset}; the checkpoint has none"
