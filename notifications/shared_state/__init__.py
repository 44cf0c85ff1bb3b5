"""Breakers and pauses of all processes together, in Redis; each process's own when it is away."""
