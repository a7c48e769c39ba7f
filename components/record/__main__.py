"""Stage `record`: python -m components.record"""

from components.core.stage import stage_main
from components.record.stage import run

if __name__ == "__main__":
    stage_main(run)
