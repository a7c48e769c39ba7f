"""Evaluation: every bundle in closed loop against its controls, and the gate that reads the result."""
