"""Stage `evaluate`: python -m components.evaluate"""

from components.core.stage import stage_main
from components.evaluate.stage import run

if __name__ == "__main__":
    stage_main(run)
