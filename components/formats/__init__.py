"""Readers of recordings: MCAP and HDF5 files become episodes."""
