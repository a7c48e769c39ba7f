"""Datasets out again, as files of other formats."""
