"""The work itself: pure functions of files and params."""
