"""Statistics of chosen episodes: merged from those of each, by representation, and beside a base checkpoint."""
