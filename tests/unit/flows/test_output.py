from __future__ import annotations

import json
import subprocess
import sys

from flows.output import table

PROGRAM = """
import os, subprocess, sys
from flows.output import emit, results_only
with results_only() as stdout:
    print("noise from python")
    subprocess.run(["echo", "noise from a child"], check=True)
    emit(stdout, {"n": 1}, as_json=True)
print("after")
"""


def test_stdout_holds_the_result_and_nothing_else(project) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=project, capture_output=True, text=True, check=True)
    result, _, after = done.stdout.rpartition("}\n")
    assert json.loads(result + "}") == {"n": 1}
    assert after == "after\n"
    assert "noise from python" in done.stderr
    assert "noise from a child" in done.stderr


def test_a_table_is_plain_text() -> None:
    drawn = table(["task", "rate"], [["drawer-open", "50/50"]], title="success")
    assert "success" in drawn
    assert "drawer-open" in drawn
    assert "\x1b" not in drawn
