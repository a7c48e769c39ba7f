"""Robots: the policy client and its wire contract."""
