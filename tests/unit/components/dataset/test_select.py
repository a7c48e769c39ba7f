from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.errors import DatasetError, InputError, UsageError
from components.dataset.episode_table import COLUMNS, open_connection
from components.dataset.expression import parse
from components.dataset.frames import EpisodeFrames
from components.dataset.parts import Part, part_of, parts_of
from components.dataset.reader import Dataset
from components.dataset.select import NothingSelected, select


@pytest.fixture(scope="module")
def parts(tree: Path) -> list[Part]:
    return parts_of(tree)


@pytest.fixture(scope="module")
def verdicts(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Episode 1 is set aside, the last has no verdict; the rows lie in an order of their own."""
    ids = Dataset.open(tree).table(["episode_id"])["episode_id"].to_pylist()
    qualities = (0.1, 0.2, None, 0.9)
    rows = [
        {"episode_id": name, "verdict": "quarantined" if at == 1 else "accepted", "codes": ["idle"] if at == 1 else []}
        | {"quality": qualities[at]}
        for at, name in enumerate(ids[:4])
    ]
    path = tmp_path_factory.mktemp("checks") / "verdicts.parquet"
    columns = {"verdict": pa.string(), "codes": pa.list_(pa.string()), "quality": pa.float64()}
    schema = pa.schema({"episode_id": pa.string(), **columns})
    pq.write_table(pa.Table.from_pylist(rows[::-1], schema=schema), path)
    return path


def numbers(parts: list[Part]) -> list[int]:
    return sorted(itertools.chain.from_iterable(part.indices.tolist() for part in parts))


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("task = 'task-1'", [1, 3]),
        ("instruction like '%drawer%' and length > 15", [2, 4]),
        ("Robot_ID in ('cell-0', 'cell-2')", [0, 2, 3]),
        ("split = 'val' or episode_index = 0", [0, 4]),
        ("duration_s between 0.9 and 1.2", [1, 2]),
        ("not (embodiment = 'sawyer-cell') or task <> 'task-0'", [1, 3]),
        ("dataset = 'tree' and regexp_matches(source_uri, '/[12].mcap$')", [1, 2]),
        ("task = 'a;b' or length = 27 -- a remark", [3]),
        ("site = ''", [0, 1, 2, 3, 4]),
        ("true", [0, 1, 2, 3, 4]),
    ],
)
def test_a_condition_picks_episodes(parts: list[Part], where: str, expected: list[int]) -> None:
    assert numbers(select(parts, where)) == expected


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("verdict = 'accepted'", [0, 2, 3]),
        ("verdict = 'accepted' and task = 'task-0'", [0, 2]),
        ("'idle' in codes", [1]),
        ("array_to_string(codes, ',') like 'id%'", [1]),
        ("verdict is null", [4]),
        ("quality < 0.2", [0]),
        ("quality >= 0.2 and verdict = 'accepted'", [3]),
        ("quality is null", [2, 4]),
    ],
)
def test_verdicts_are_joined_by_episode(parts: list[Part], verdicts: Path, where: str, expected: list[int]) -> None:
    assert numbers(select(parts, where, verdicts)) == expected


def test_the_order_of_a_part_stays(parts: list[Part]) -> None:
    (kept,) = select(parts, "length > 16")
    (whole,) = parts
    assert kept.indices.tolist() == [index for index in whole.indices.tolist() if index != 0]
    assert kept.name == whole.name


def test_a_part_that_was_narrowed_stays_so(tree: Path) -> None:
    few = part_of(Dataset.open(tree), [4, 1, 2])
    assert numbers(select([few], "task = 'task-0'")) == [2, 4]


def test_each_part_is_asked_and_those_without_an_episode_are_left_out(
    tree: Path, tmp_path: Path, make_episode: Callable[..., EpisodeFrames], write_tree: Callable[..., str]
) -> None:
    write_tree(tmp_path / "other", [make_episode(7, task="task-1"), make_episode(8, task="pour")])
    parts = [*parts_of(tree), *parts_of(tmp_path / "other")]
    one, two = select(parts, "task = 'task-1'")
    assert (one.name, sorted(one.indices.tolist())) == ("tree", [1, 3])
    assert (two.name, two.indices.tolist()) == ("other", [0])
    assert [part.name for part in select(parts, "dataset = 'other' and task = 'pour'")] == ["other"]


def test_only_the_columns_that_are_named_are_read(parts: list[Part], monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    table = Dataset.table

    def watched(self: Dataset, columns: list[str]) -> pa.Table:
        read.extend(columns)
        return table(self, columns)

    monkeypatch.setattr(Dataset, "table", watched)
    select(parts, "task = 'task-1' and robot_id <> ''")
    assert sorted(read) == ["robot_id", "task"]


def test_columns_that_a_dataset_keeps_as_dictionaries_match_patterns(
    parts: list[Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Dataset.table
    monkeypatch.setattr(Dataset, "table", lambda self, columns: _as_dictionaries(table(self, columns)))
    assert numbers(select(parts, "task like '%-1' and robot_id <> 'elsewhere'")) == [1, 3]


def _as_dictionaries(table: pa.Table) -> pa.Table:
    return pa.table({name: table[name].dictionary_encode() for name in table.column_names})


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("", "the condition is empty"),
        ("task =", "syntax error"),
        ("task = 'a\0b'", "the condition holds a NUL"),
        pytest.param("not (" * 900 + "true" + ")" * 900, r"\.\.\.': nested too deeply", id="deep"),
        ("true; drop table episodes", "syntax error|Only SELECT|more than one"),
        ("true) ; select (true", "more than one expression"),
        ("true) limit (1", "more than one expression"),
        ("true) union select (1", "more than one expression"),
        ("episode_id in (select 'x')", "a SELECT of its own is not allowed"),
        ("exists (from read_text('/etc/passwd'))", "a SELECT of its own is not allowed"),
        ("task = $1", "a parameter is not allowed"),
        ("row_number() over () < 3", "a window is not allowed"),
        ("count(*) > 1", "count_star is not allowed: it looks at more than one episode, or changes with time"),
        ("random() < 0.5", "random is not allowed"),
        ("recorded_at::timestamp < now()", "now is not allowed"),
        ("age(recorded_at::timestamp) < interval 3 days", "age is not allowed"),
        ("current_user = 'x'", "current_user"),
        ("current_setting('home_directory') = ''", "current_setting is not allowed"),
        ("COLUMNS('task') = 'x'", "a star is not allowed"),
        ("tasks = 'x'", r"no column 'tasks'. Did you mean 'task'\? There are episode_id, pixel_sha256"),
        ('task = "pour"', "no column 'pour'. A text stands in single quotes"),
        ("episodes.task = 'x'", "no column 'episodes.task'"),
        ("rowid = 3", "no column 'rowid'"),
        ("lowercase(task) = 'x'", r"no function 'lowercase'. Did you mean '\w+'\?"),
        ("length = 'long'", "Could not convert string 'long'"),
        ("task", "Could not convert|cannot be cast|BOOL"),
        ("quality > 0.5", "verdict is not known here. Name verdicts.parquet with --verdicts"),
        ("verdict = 'accepted'", "verdict is not known here. Name verdicts.parquet with --verdicts"),
    ],
)
def test_what_is_no_condition_on_one_episode_is_refused(parts: list[Part], where: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        select(parts, where)


def test_nothing_left_says_what_each_condition_leaves(parts: list[Part]) -> None:
    expected = (
        r"none of 5 episodes fits .*Each condition alone leaves \(task = 'task-1'\): 2; \(length > 27\): 1;"
        r" \(split = 'test'\): 0"
    )
    with pytest.raises(DatasetError, match=expected):
        select(parts, "task = 'task-1' and length > 27 and split = 'test'")
    with pytest.raises(NothingSelected, match=r"none of 5 episodes fits \"task = 'pour'\"\.$") as found:
        select(parts, "task = 'pour'")
    assert found.value.alone == {"(task = 'pour')": 0}


def test_why_there_are_no_verdicts_is_said(parts: list[Part]) -> None:
    with pytest.raises(UsageError, match=r"they are older\. Name verdicts.parquet with --verdicts"):
        select(parts, "verdict = 'accepted'", unjudged="they are older")


def test_older_verdicts_have_no_quality(parts: list[Part], verdicts: Path, tmp_path: Path) -> None:
    older = tmp_path / "verdicts.parquet"
    pq.write_table(pq.read_table(verdicts).drop_columns(["quality"]), older)
    assert numbers(select(parts, "quality is null and verdict = 'accepted'", older)) == [0, 2, 3]
    with pytest.raises(NothingSelected, match="none of 5 episodes fits 'quality >= 0'"):
        select(parts, "quality >= 0", older)


def _twice(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, table.slice(0, 1)]), path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "no such file. Run `gripline check` first"),
        (lambda path: path.write_bytes(b"PAR1"), "no verdicts: "),
        (lambda path: pq.write_table(pq.read_table(path).drop_columns(["codes"]), path), "no verdicts: .*codes"),
        (_twice, "an episode has two verdicts"),
    ],
)
def test_verdicts_that_are_none_are_refused(
    parts: list[Part], verdicts: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / "verdicts.parquet"
    path.write_bytes(verdicts.read_bytes())
    damage(path)
    with pytest.raises(InputError, match=message):
        select(parts, "verdict = 'accepted'", path)


class FakeDataset:
    """A table of episodes without a tree; numbers have gaps."""

    root, fps = Path("many"), 10

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame
        self.indices = frame["episode_index"].to_numpy()
        self.lengths = frame["length"].to_numpy()

    def table(self, columns: list[str]) -> pa.Table:
        return pa.Table.from_pandas(self.frame[list(columns)], preserve_index=False)


def fake_part(rng: np.random.Generator, count: int) -> Part:
    frame = pd.DataFrame(
        {
            "episode_id": [f"{value:08x}" for value in rng.permutation(10**6)[:count]],
            "episode_index": np.sort(rng.permutation(5 * count)[:count]),
            "length": rng.integers(1, 50, count),
            "task": rng.choice(["open", "close", ""], count),
        }
    )
    order = np.argsort(frame["episode_id"].to_numpy())
    chosen = order[: max(1, count // 2)]
    return Part(FakeDataset(frame), frame["episode_index"].to_numpy()[np.sort(chosen)], "many")  # type: ignore[arg-type]


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 60), limit=st.integers(0, 50))
def test_the_answer_is_that_of_pandas_also_with_gaps(seed: int, count: int, limit: int) -> None:
    part = fake_part(np.random.default_rng(seed), count)
    frame = part.dataset.frame.set_index("episode_index").loc[part.indices]  # type: ignore[attr-defined]
    expected = frame.index[(frame["length"] > limit) & (frame["task"] != "")].tolist()
    try:
        found = select([part], f"length > {limit} and task <> ''")
    except DatasetError:
        assert expected == []
    else:
        assert [each.indices.tolist() for each in found] == [expected]
        assert replace(found[0], indices=part.indices).name == "many"


def test_the_columns_read_are_named_in_their_own_order() -> None:
    connection = open_connection()
    found = parse("Verdict = 'x' and lower(TASK) = task and length > 3", COLUMNS, connection)
    assert found.columns == ("length", "task", "verdict")
    assert len(found.conjuncts) == 3
