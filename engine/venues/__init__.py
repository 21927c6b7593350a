"""Where orders go: the protocol, and the venues that speak it."""
