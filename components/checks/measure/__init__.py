"""Numbers out of the arrays of one episode."""
