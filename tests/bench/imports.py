"""What starting costs: CPU seconds and wall seconds of fresh processes, medians.

    python tests/bench/imports.py [runs]

Goals: `import components` under 0.3 s, `gripline --help` under 1 s, on an idle machine.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = {
    "import components": ["-c", "import components"],
    "import components.core.params": ["-c", "import components.core.params"],
    "import flows.cli": ["-c", "import flows.cli"],
    "gripline --help": ["-c", "from flows.cli import main; import sys; sys.argv = ['gripline', '--help']; main()"],
    "gripline doctor": ["-c", "from flows.cli import main; import sys; sys.argv = ['gripline', 'doctor']; main()"],
}


def measure(arguments: list[str]) -> tuple[float, float]:
    """CPU and wall seconds of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=False, capture_output=True, cwd=Path(__file__).parents[2])
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"{runs} runs each, load {os.getloadavg()[0]:.1f}\n| what | CPU s | wall s |\n|---|---|---|")
    for name, arguments in COMMANDS.items():
        measured = [measure(arguments) for _ in range(runs)]
        cpu, wall = (statistics.median(column) for column in zip(*measured, strict=True))
        print(f"| {name} | {cpu:.2f} | {wall:.2f} |")


if __name__ == "__main__":
    main()
