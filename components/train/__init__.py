"""Training: the accepted episodes of a dataset become checkpoints. The only importer of Lightning."""
