"""`python -m components.ingest`: data/raw -> data/dataset in the workspace around the current folder."""

from __future__ import annotations

from components.core.stage import stage_main
from components.ingest.ingest import run

if __name__ == "__main__":
    stage_main(run)
