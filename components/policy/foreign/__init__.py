"""Checkpoints of other trainers, brought in and taken out."""
