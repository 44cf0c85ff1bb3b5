"""Conversations, handoffs, tickets: domain, database, services, API and console."""
