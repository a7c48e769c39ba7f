"""What is made of all jobs together: a table of action errors, a page of learning curves, a folder of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from components.core.files import read_lines, write_bytes, write_text
from components.train.action_errors import CSV_NAME, errors_csv, read_reports
from components.train.curves import FILE_NAME, draw_curves
from components.train.looking import ERRORS_NAME, LOOKS


def write_overview(folder: Path, names: Sequence[str]) -> None:
    """Writes `action_errors.csv`, `curves.png` and `looks/` from what the jobs of these names left below `folder`.

    `looks/<name>.png` is the last page of samples of a job, `looks/<name>-errors.png` its heat map: places that do not
    depend on the number of steps. A job that left no metrics, say of a trainer of one's own, is not drawn.
    """
    reports = read_reports(folder, names)
    if reports:
        write_text(folder / CSV_NAME, errors_csv(reports))
    lines = {name: read_lines(folder / name / "metrics.jsonl") for name in names}
    drawn = {name: of_job for name, of_job in lines.items() if of_job}
    for name in names:
        _copy_last_looks(folder / name / LOOKS, folder / LOOKS, name)
    if drawn:
        write_bytes(folder / FILE_NAME, draw_curves(drawn))


def _copy_last_looks(source: Path, target: Path, name: str) -> None:
    pages = sorted(source.glob("predictions-*.png"))
    if pages:
        write_bytes(target / f"{name}.png", pages[-1].read_bytes())
    if (source / ERRORS_NAME).is_file():
        write_bytes(target / f"{name}-errors.png", (source / ERRORS_NAME).read_bytes())
