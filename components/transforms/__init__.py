"""What lies between a robot and a policy: frozen steps with inverses, and the chain built of them."""
