"""Transactions: fan out an event, claim, record."""
