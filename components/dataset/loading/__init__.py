"""Training batches out of datasets: which window comes when, and where its pictures come from."""
