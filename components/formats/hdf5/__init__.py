"""HDF5 in the layouts of robomimic, LIBERO, ALOHA, DROID and robosuite."""
