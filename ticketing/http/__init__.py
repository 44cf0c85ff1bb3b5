"""What the API and the console share at the edge: wiring, sessions, limits, security headers."""
