"""The gateway: Envoy and the routes that it follows."""
