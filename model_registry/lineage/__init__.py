"""The graph from collector to robot: an index over records and journals that can be thrown away and rebuilt."""
