"""Stage `card`: python -m components.view"""

from components.core.stage import stage_main
from components.view.stage import run

if __name__ == "__main__":
    stage_main(run)
