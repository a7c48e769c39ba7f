"""Stage `check`: python -m components.checks"""

from components.checks.check import run
from components.core.stage import stage_main

if __name__ == "__main__":
    stage_main(run)
