"""Contracts that every part meets at."""
