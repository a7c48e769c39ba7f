"""Serving and rollout: what answers robots, and who decides which policy does."""
