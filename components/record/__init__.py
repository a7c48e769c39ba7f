"""Recorders: the simulated cell writes MCAP and HDF5 as real ones do."""
