"""Transactions: load, ask the domain, save with the outbox, commit."""
