"""Everything the API and the console are built from; no globals."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from handoff.policy_holder import PolicyHolder
from kit.clock import Clock
from ticketing.db.engine import Database
from ticketing.domain.holder import Holder
from ticketing.domain.quality_file import QualityPlan
from ticketing.domain.routing.settings import RoutingSettings
from ticketing.domain.runbook import RunbookBook
from ticketing.services.sessions import ABSOLUTE, IDLE

MEGABYTE = 1024 * 1024
BUSINESS_TIME_ZONE = "America/Sao_Paulo"


class DeskSettings(Protocol):
    """The part of the settings that is read here."""

    @property
    def ponte_session_hours(self) -> float:
        """After how many idle hours a login ends."""
        ...

    @property
    def ponte_public_url(self) -> str:
        """How people reach this server; empty when not known."""
        ...

    @property
    def routing(self) -> RoutingSettings:
        """How tickets find people."""
        ...

    @property
    def privacy_key(self) -> str:
        """PONTE_PRIVACY_KEY; empty when not set."""
        ...

    @property
    def ponte_attachment_max_mb(self) -> int:
        """Largest file on a ticket, in megabytes."""
        ...


@dataclass(frozen=True, slots=True)
class Deps:
    """What the blueprints need.

    Attributes:
        db: Where everything is.
        clock: For `now`.
        wake: Told the id of every message to the customer after its commit.
        policy: The one in force: names of queues and intents, SLA targets, calendars.
        public_url: Its host is accepted as origin, besides the host a request was sent to; with
            https, cookies are sent over https only.
        session_idle: A login that was not used for so long is over.
        session_absolute: A login is over after so long in any case.
        attachment_max_bytes: Largest file that is put on a ticket.
        privacy_key: Recognises erased customers; empty: nobody can be erased.
        routing: How tickets find people.
        time_zone: Of the times that agents read.
        runbooks: Those in force.
        quality: The plan for reviews in force; None: there is none.
    """

    db: Database
    clock: Clock
    wake: Callable[[uuid.UUID], None]
    policy: PolicyHolder
    public_url: str = ""
    session_idle: timedelta = IDLE
    session_absolute: timedelta = ABSOLUTE
    attachment_max_bytes: int = 10 * MEGABYTE
    privacy_key: str = ""
    routing: RoutingSettings = field(default_factory=RoutingSettings)
    time_zone: ZoneInfo = field(default_factory=lambda: ZoneInfo(BUSINESS_TIME_ZONE))
    runbooks: Holder[RunbookBook] = field(default_factory=lambda: Holder(RunbookBook()))
    quality: Holder[QualityPlan | None] = field(default_factory=lambda: Holder(None))

    @classmethod
    def from_settings(
        cls,
        settings: DeskSettings,
        *,
        db: Database,
        clock: Clock,
        wake: Callable[[uuid.UUID], None],
        policy: PolicyHolder,
        runbooks: Holder[RunbookBook] | None = None,
        quality: Holder[QualityPlan | None] | None = None,
    ) -> Self:
        """The dependencies as the settings want them."""
        return cls(
            db=db,
            clock=clock,
            wake=wake,
            policy=policy,
            public_url=settings.ponte_public_url,
            session_idle=timedelta(hours=settings.ponte_session_hours),
            attachment_max_bytes=settings.ponte_attachment_max_mb * MEGABYTE,
            privacy_key=settings.privacy_key,
            routing=settings.routing,
            runbooks=runbooks or Holder(RunbookBook()),
            quality=quality or Holder(None),
        )

    @property
    def secure_cookies(self) -> bool:
        """Whether browsers come by https."""
        return urlsplit(self.public_url).scheme == "https"

    @property
    def public_host(self) -> str:
        """Host and port of the public URL; empty when not known."""
        return urlsplit(self.public_url).netloc
