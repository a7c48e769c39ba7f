"""Foreign trainers as scripts: run in their own environments, never imported."""
