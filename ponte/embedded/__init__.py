"""PostgreSQL and Redis out of wheels."""
