"""Where in an episode a check finds what it found."""
