"""Rows of measures against the dataset's own habits: what is judged, one row an episode."""
