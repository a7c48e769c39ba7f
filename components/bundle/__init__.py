"""The policy bundle: sealed, verified, and run without the framework that trained it."""
