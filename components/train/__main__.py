"""Stage `train`: python -m components.train"""

from components.core.stage import stage_main
from components.train.stage import run

if __name__ == "__main__":
    stage_main(run)
