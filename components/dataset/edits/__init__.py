"""Datasets out of datasets: selected, merged, split; and episodes that leave a tree for good."""
