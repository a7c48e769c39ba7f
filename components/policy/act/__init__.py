"""ACT (Zhao et al. 2023): a chunk of actions out of a DETR-like Transformer, trained as a conditional VAE."""
