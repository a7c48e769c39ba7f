"""From what a trunk has made of an observation to a chunk of actions."""
