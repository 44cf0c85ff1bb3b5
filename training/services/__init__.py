"""Collecting candidates, deciding them, and what the reviews say, one transaction each."""
