"""Fixtures for all tests: a real PostgreSQL and Redis out of wheels, once a session."""
