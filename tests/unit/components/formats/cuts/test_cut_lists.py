from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.core.episode import CONTROL_SOURCES
from components.core.errors import UsageError
from components.formats.cut_lists import CutList, cuts_digest, read_cut_list, write_cut_list
from components.formats.cut_places import cuts_for
from components.formats.cut_rows import SourceCut
from components.formats.cuts import ControlSpan, Cut

S = 10**9
MS = 10**6
HEADER = "source,part,start_s,end_s,task,instruction,outcome,control,keep,note,version\n"


@st.composite
def cut_lists(draw: st.DrawFn) -> CutList:
    """Kept cuts apart from each other, others anywhere; control spans inside of their cut."""
    entries = []
    for source in draw(st.lists(st.text(max_size=5), unique=True, max_size=3)):
        edges = sorted(draw(st.sets(st.integers(0, 8_000_000 * S), max_size=8)))
        for start_ns, end_ns in zip(edges[::2], edges[1::2], strict=False):
            if end_ns - start_ns < MS:
                continue
            inner = sorted(draw(st.sets(st.integers(start_ns, end_ns), max_size=4)))
            spans = tuple(
                ControlSpan(a, b, draw(st.sampled_from(CONTROL_SOURCES)))
                for a, b in zip(inner[::2], inner[1::2], strict=False)
            )
            part, task, told, note = (draw(st.text(max_size=8)) for _ in range(4))
            outcome = draw(st.sampled_from(("", "success", "failure", "abort", "unknown")))
            keep = draw(st.booleans())
            entries.append(SourceCut(source, Cut(start_ns, end_ns, part, task, told, outcome, spans, keep, note)))
    return CutList(tuple(entries))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(cut_lists(), st.sampled_from((".csv", ".json")))
def test_what_is_written_is_read(tmp_path: Path, cuts: CutList, suffix: str) -> None:
    path = tmp_path / f"cuts{suffix}"
    write_cut_list(path, cuts)
    assert read_cut_list(path) == cuts
    first = path.read_bytes()
    write_cut_list(path, read_cut_list(path))
    assert path.read_bytes() == first


def csv(tmp_path: Path, rows: str, *, header: str = HEADER, name: str = "cuts.csv") -> Path:
    path = tmp_path / name
    path.write_text(header + rows)
    return path


def test_a_list_as_somebody_types_it(tmp_path: Path) -> None:
    rows = (
        "a.mcap,,12.5,20,pour,pour water,Success,human:12.5-15.5; reset:15.5-20,,first try,\n\na.mcap,,3,4,,,,,NO,,1\n"
    )
    (dropped, kept) = read_cut_list(csv(tmp_path, rows)).of(tmp_path / "a.mcap", "shift/a.mcap")
    control = (ControlSpan(12_500_000_000, 15_500_000_000, "human"), ControlSpan(15_500_000_000, 20 * S, "reset"))
    assert kept == Cut(12_500_000_000, 20 * S, "", "pour", "pour water", "success", control, True, "first try")
    assert dropped == Cut(3 * S, 4 * S, keep=False)


def test_a_spreadsheet_may_add_a_mark_and_other_separators(tmp_path: Path) -> None:
    path = tmp_path / "cuts.csv"
    path.write_bytes('source;start_s;end_s;control\r\na.h5;0;2;"human:0-1;reset:1-2"\r\n'.encode("utf-8-sig"))
    (cut,) = read_cut_list(path).of(Path("a.h5"), "a.h5")
    assert [span.source for span in cut.control] == ["human", "reset"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,,5,5,,,,,,,", r"cuts.csv: line 2: end_s is 5, expected at least 0.001 more than start_s"),
        ("a,,x,5,,,,,,,", r"line 2: start_s is 'x', expected seconds"),
        ("a,,1:15,80,,,,,,,", r"start_s is '1:15', .*Write 75.5"),
        ("a,,-1,5,,,,,,,", r"start_s is '-1'"),
        ("a,,0,nan,,,,,,,", r"end_s is 'nan'"),
        ("a,,0,1e99999999,,,,,,,", r"end_s is '1e99999999'"),
        ("a,,0,5,,,won,,,,", r"outcome is 'won', expected one of nothing, success, failure, abort, unknown"),
        ("a,,0,5,,,,,maybe,,", r"keep is 'maybe'"),
        ("a,,0,5,,,,robot:1-2,,,", r"control is 'robot', expected one of policy, human, blend, reset"),
        ("a,,0,5,,,,human 1-2,,,", r"control is 'human 1-2', expected who:start-end"),
        ("a,,0,5,,,,human:1-6,,,", r"control human:1-6 is empty, overlaps another or leaves the cut 0-5"),
        ("a,,0,5,,,,human:1-3;reset:2-4,,,", r"control reset:2-4 is empty, overlaps"),
        ("a,,0,5,,,,,,,2", r"version is '2', expected 1"),
        ("a,,0,5,,,,,,,1,more", r"line 2: 12 fields, but 11 columns"),
        ('a,,0,5,"open', r"line 2: is no CSV"),
        ("a,,0,5,,,,,,,\na,,4,6,,,,,,,", r"line 3: start_s is 4, but the cut of cuts.csv: line 2 goes on to 5"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_place(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_cut_list(csv(tmp_path, row + "\n"))


@pytest.mark.parametrize("header", ["", "source,start_s\n", "start_s,end_s,start_s\n"])
def test_columns_must_be_there_once(tmp_path: Path, header: str) -> None:
    with pytest.raises(UsageError, match="line 1: its columns are"):
        read_cut_list(csv(tmp_path, "", header=header))


def test_an_unknown_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="line 2: unknown column 'sucess'"):
        read_cut_list(csv(tmp_path, "0,1,yes\n", header="start_s,end_s,sucess\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cuts.json: is no JSON"),
        ("[]", "cuts.json: is no cut list"),
        (
            '{"format": "gripline cuts", "version": 1, "cuts": [{"start_s": 1e9999999999999999999, "end_s": 2}]}',
            r"cuts\[0\]: start_s is '1e9999999999999999999', expected seconds",
        ),
        ('{"format": "gripline cuts", "version": 9, "cuts": []}', "version is 9"),
        ('{"format": "gripline cuts", "version": 1, "cuts": [3]}', r"cuts\[0\]: is int, expected an object"),
        (
            '{"format": "gripline cuts", "version": 1, "cuts": [{"start_s": [1], "end_s": 2}]}',
            r"cuts\[0\]: start_s is list",
        ),
    ],
)
def test_json_is_as_strict(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "cuts.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_cut_list(path)


def test_cuts_that_are_left_out_may_overlap(tmp_path: Path) -> None:
    rows = "a,,0,5,,,,,yes,,\na,,4,6,,,,,no,,\na,p,4,6,,,,,yes,,\nb,,4,6,,,,,yes,,\n"
    assert len(read_cut_list(csv(tmp_path, rows)).entries) == 4


def test_overlaps_are_not_written_either(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="goes on to 2"):
        write_cut_list(tmp_path / "c.csv", CutList((SourceCut("a", Cut(0, 2 * S)), SourceCut("a", Cut(S, 3 * S)))))
    assert not (tmp_path / "c.csv").exists()


def test_the_digest_is_of_what_is_cut_whatever_the_order() -> None:
    one, other = SourceCut("a", Cut(0, S)), SourceCut("b", Cut(0, S))
    noted = SourceCut("a", Cut(0, S, note="look again"))
    assert CutList((one, other)).digest == CutList((other, noted)).digest
    assert CutList((one,)).digest != CutList((other,)).digest
    assert cuts_digest([one.cut]) != cuts_digest([Cut(0, S + 1)])


def test_the_nearest_list_rules(tmp_path: Path) -> None:
    recording = tmp_path / "a.mcap"
    assert cuts_for(recording, "x/a.mcap", None) == ()
    csv(tmp_path, "a.mcap,,0,1,,,,,,,\nb.mcap,,0,9,,,,,,,\n")
    assert [cut.end_ns for cut in cuts_for(recording, "x/a.mcap", None)] == [S]
    assert cuts_for(tmp_path / "c.mcap", "c.mcap", None) == ()
    csv(tmp_path, ",,0,2,,,,,,,\n", name="a.cuts.csv")
    assert [cut.end_ns for cut in cuts_for(recording, "x/a.mcap", None)] == [2 * S]
    csv(tmp_path, ",,0,3,,,,,,,\n", name="a.mcap.cuts.csv")
    assert [cut.end_ns for cut in cuts_for(recording, "x/a.mcap", None)] == [3 * S]
    given = CutList((SourceCut("x/a.mcap", Cut(0, 4 * S)),))
    assert [cut.end_ns for cut in cuts_for(recording, "x/a.mcap", given)] == [4 * S]
    assert [cut.end_ns for cut in cuts_for(recording, "y/a.mcap", given)] == [3 * S]


def test_a_list_beside_a_file_speaks_of_that_file(tmp_path: Path) -> None:
    csv(tmp_path, "b.mcap,,0,1,,,,,,,\n", name="a.mcap.cuts.csv")
    with pytest.raises(UsageError, match=r"source is 'b.mcap', but the list lies beside a.mcap"):
        cuts_for(tmp_path / "a.mcap", "a.mcap", None)


def test_the_same_file_under_two_names_still_has_no_overlap(tmp_path: Path) -> None:
    csv(tmp_path, ",,0,2,,,,,,,\na.mcap,,1,3,,,,,,,\n", name="a.mcap.cuts.csv")
    with pytest.raises(UsageError, match="goes on to 2"):
        cuts_for(tmp_path / "a.mcap", "a.mcap", None)


def test_a_list_of_a_folder_names_files(tmp_path: Path) -> None:
    csv(tmp_path, ",,0,1,,,,,,,\n")
    with pytest.raises(UsageError, match="source is empty"):
        cuts_for(tmp_path / "a.mcap", "a.mcap", None)
