"""The simulated robot cell: environments, cameras, scripted experts, closed-loop episodes."""
