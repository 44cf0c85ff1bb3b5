"""Which escalation rule moved which ticket, for what."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from kit.ids import new_id
from ticketing.db.base import Base
from ticketing.db.sla_tables import SlaAlert


class EscalationFiring(Base):
    """One rule, one ticket, one occasion: however often and by how many processes it is seen."""

    __tablename__ = "escalation_firings"
    __table_args__ = (UniqueConstraint("ticket_id", "rule", "occasion"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id"))
    rule: Mapped[str]
    rule_version: Mapped[str]
    """name@version."""
    occasion: Mapped[str]
    event_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("ticket_events.id"))
    at: Mapped[datetime]


Index("ix_sla_alerts_detected", SlaAlert.detected_at)
"""New alerts are what rules about alerts look at."""
