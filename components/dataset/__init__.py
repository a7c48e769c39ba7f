"""The dataset store: a LeRobot v3.0 tree with stable episode identity beside it."""
