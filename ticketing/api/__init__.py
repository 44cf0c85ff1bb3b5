"""JSON API for agents and programs."""
