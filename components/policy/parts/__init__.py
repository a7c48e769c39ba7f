"""What policies are put together from: vision towers, connectors, words, trunks."""
