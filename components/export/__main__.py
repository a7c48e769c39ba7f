"""`python -m components.export` in a workspace."""

from __future__ import annotations

from components.core.stage import stage_main
from components.export.export import run

if __name__ == "__main__":
    stage_main(run)
