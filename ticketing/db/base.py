"""What all tables are made of.

Constraints repeat the domain's rules on purpose: a bug in a service must not be able to store what
the domain forbids. Times are `timestamptz`, ids are UUID version 7 made by `kit.ids`.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, DateTime, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID
from sqlalchemy.orm import DeclarativeBase

JSON = dict[str, Any]


class Base(DeclarativeBase):
    """Declarative base with the column types used everywhere."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads this class attribute
        datetime: DateTime(timezone=True),
        uuid.UUID: UUID(as_uuid=True),
        str: Text,
        JSON: JSONB,
        list[str]: ARRAY(Text),
    }


def one_of(column: str, enum: type[StrEnum]) -> CheckConstraint:
    """CHECK that repeats an enumeration."""
    allowed = ", ".join(f"'{member.value}'" for member in enum)
    return CheckConstraint(f"{column} IN ({allowed})", name=f"{column}_is_known")
