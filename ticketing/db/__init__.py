"""Tables and engine. The only place that knows the schema."""

from __future__ import annotations

# Every module of tables is imported here, so that the metadata is whole wherever `Base` is used.
from ticketing.db import review_tables, sla_tables, tables

__all__ = [
    "review_tables",
    "sla_tables",
    "tables",
]
