from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import resource, sys
import numpy as np
from components.train.allocator import keep_memory
if sys.argv[1] == "kept":
    assert keep_memory()
for _ in range(3):
    np.ones(1 << 23)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(1 << 23)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(project: Path, how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], cwd=project, check=True, capture_output=True, text=True)
    return int(done.stdout)


def test_memory_that_was_freed_is_not_asked_for_again(project):
    # 64 MB at a time: without it every one is new to the process.
    assert _faults(project, "kept") < 100
    assert _faults(project, "plain") > 500
