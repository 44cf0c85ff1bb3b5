"""What every documented code of a provider means: one table, one module a provider."""
