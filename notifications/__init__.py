"""Notices to agents and to the admin: planned from outbox events, delivered once each."""
