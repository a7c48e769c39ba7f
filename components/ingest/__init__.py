"""The ingest stage: recordings become the dataset."""
