"""Tables and engine. The only place that knows the schema."""

from __future__ import annotations

# Every module of tables is imported here, so that the metadata is whole wherever `Base` is used.
from ticketing.db import (
    attachment_tables,
    audit_tables,
    escalation_tables,
    idempotency_tables,
    notification_tables,
    privacy_tables,
    quality_tables,
    review_tables,
    routing_tables,
    runbook_tables,
    satisfaction_tables,
    search_tables,
    sla_tables,
    tables,
    ticket_indexes,
)

__all__ = [
    "attachment_tables",
    "audit_tables",
    "escalation_tables",
    "idempotency_tables",
    "notification_tables",
    "privacy_tables",
    "quality_tables",
    "review_tables",
    "routing_tables",
    "runbook_tables",
    "satisfaction_tables",
    "search_tables",
    "sla_tables",
    "tables",
    "ticket_indexes",
]
