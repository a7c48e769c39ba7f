"""A condition on one episode, as people write it in SQL: checked before it runs, so that it can do nothing else."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.core.errors import UsageError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# What an expression may be made of, by DuckDB's names; no subquery, star, parameter, window or lambda.
_ALLOWED = frozenset(
    ("BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION")
) | {"OPERATOR", "TYPE"}
_WORDS = {"SUBQUERY": "a SELECT of its own", "STAR": "a star", "PARAMETER": "a parameter", "WINDOW": "a window"}
# Macros hide what they call; these look at their arguments alone.
_MACROS = frozenset(("split_part", "nullif", "if", "fmod", "fdiv", "days_in_month"))
_PURE_MACRO_PREFIXES = ("list_", "array_")
# DuckDB calls it consistent, with one argument it counts from today.
_OF_TODAY = frozenset(("age",))
_HEAD = "SELECT 1 FROM episodes WHERE "
# Characters of a condition that an error repeats.
_LONGEST = 200
_HINT = "Write it as in WHERE: embodiment = 'panda' and task like '%drawer%'"


@dataclass(frozen=True)
class Expression:
    """`sql`: the condition in brackets; `columns`: the columns that it reads; `conjuncts`: what AND joins."""

    sql: str
    columns: tuple[str, ...]
    conjuncts: tuple[str, ...]


def parse(text: str, known: Sequence[str], connection: DuckDBPyConnection) -> Expression:
    """Reads a condition on the columns `known`. Nothing of it runs.

    Raises `UsageError` for what is no single expression about one episode, for unknown columns and functions (with a
    suggestion), and for functions whose result changes from run to run.
    """
    try:
        return _checked(text, _tree(text, connection), known, connection)
    except RecursionError as error:
        raise _refused(text, "nested too deeply") from error


def _checked(text: str, tree: dict[str, Any], known: Sequence[str], connection: DuckDBPyConnection) -> Expression:
    (statement,) = tree["statements"]
    condition = statement["node"]["where_clause"]
    nodes = list(_nodes(condition))
    for node in nodes:
        if node["class"] not in _ALLOWED:
            found = _WORDS.get(node["class"], node["class"].lower().replace("_", " "))
            raise _refused(text, f"{found} is not allowed in a condition")
    columns = _columns(text, [node for node in nodes if node["class"] == "COLUMN_REF"], known)
    names = {node["function_name"].lower() for node in nodes if node["class"] == "FUNCTION"}
    _require_pure(text, names, connection)
    joined = condition["children"] if condition["type"] == "CONJUNCTION_AND" else [condition]
    return Expression(_bracketed(text), columns, tuple(_spelled(part, tree, connection) for part in joined))


def _tree(text: str, connection: DuckDBPyConnection) -> dict[str, Any]:
    """The statement that asks for `text`, as DuckDB parsed it, where it is nothing but that."""
    if not text.strip():
        raise _refused(text, "the condition is empty")
    if "\0" in text:
        raise _refused(text, "the condition holds a NUL")
    tree, plain = (_parsed(_HEAD + _bracketed(words), connection) for words in (text, "true"))
    if tree["error"]:
        raise _refused(text, _first_line(tree["error_message"]))
    if len(tree["statements"]) != 1 or _around(tree) != _around(plain):
        raise _refused(text, "more than one expression")
    return tree


def _bracketed(text: str) -> str:
    """The closing bracket stands on a line of its own, where no remark swallows it."""
    return f"({text}\n)"


def _parsed(sql: str, connection: DuckDBPyConnection) -> dict[str, Any]:
    (answer,) = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone() or ("{}",)
    tree: dict[str, Any] = json.loads(answer)
    return tree


def _around(tree: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in tree["statements"][0]["node"].items() if key != "where_clause"}


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "class" in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _nodes(item)


def _columns(text: str, nodes: Iterable[dict[str, Any]], known: Sequence[str]) -> tuple[str, ...]:
    found = set()
    for node in nodes:
        name = ".".join(node["column_names"])
        # Names in SQL are the same in either case.
        if name.lower() not in known:
            close = difflib.get_close_matches(name.lower(), known, n=1)
            meant = f"Did you mean {close[0]!r}? " if close else ""
            text_value = "" if close else "A text stands in single quotes. "
            raise _refused(text, f"no column {name!r}", hint=f"{meant}{text_value}There are {', '.join(known)}")
        found.add(name.lower())
    return tuple(name for name in known if name in found)


def _require_pure(text: str, names: set[str], connection: DuckDBPyConnection) -> None:
    rows = connection.execute("SELECT function_name, function_type, stability FROM duckdb_functions()").fetchall()
    kinds: dict[str, set[tuple[str, str | None]]] = {}
    for name, kind, stability in rows:
        kinds.setdefault(name, set()).add((kind, stability))
    for name in sorted(names):
        if name not in kinds:
            close = difflib.get_close_matches(name, kinds, n=1)
            raise _refused(text, f"no function {name!r}", hint=f"Did you mean {close[0]!r}?" if close else None)
        if name in _OF_TODAY or not all(_is_pure(name, *kind) for kind in kinds[name]):
            raise _refused(text, f"{name} is not allowed: it looks at more than one episode, or changes with time")


def _is_pure(name: str, kind: str, stability: str | None) -> bool:
    if kind == "macro":
        return name in _MACROS or name.startswith(_PURE_MACRO_PREFIXES)
    return kind == "scalar" and stability == "CONSISTENT"


def _spelled(condition: dict[str, Any], tree: dict[str, Any], connection: DuckDBPyConnection) -> str:
    node = {**tree["statements"][0]["node"], "where_clause": condition}
    whole = {**tree, "statements": [{**tree["statements"][0], "node": node}]}
    (sql,) = connection.execute("SELECT json_deserialize_sql(?)", [json.dumps(whole)]).fetchone() or ("",)
    return str(sql).removeprefix(_HEAD)


def _first_line(message: str) -> str:
    return message.strip().splitlines()[0]


def _refused(text: str, message: str, hint: str | None = _HINT) -> UsageError:
    shown = text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
    return UsageError(message, where=f"--where {shown!r}", hint=hint)
