"""Datasets to look at: a card of the whole, a page and a recording of one episode."""
