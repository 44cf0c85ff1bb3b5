"""Bodies and queries about contacts, their data, and the audit log."""

from __future__ import annotations

import uuid
from typing import Annotated, Self

from pydantic import AfterValidator, AwareDatetime, Field, StrictBool, model_validator

from ticketing.http.schemas import Key, Reason, Strict, readable
from ticketing.services.audit import MOST_ENTRIES
from ticketing.services.contact_records import MOST_CONTACTS

_Email = Annotated[
    str,
    Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", description="E-mail address."),
    AfterValidator(readable),
]
_Cursor = Annotated[uuid.UUID | None, Field(description="`next_cursor` of the page before.")]


class ContactQuery(Strict):
    """Which contacts."""

    q: Annotated[
        Key | None, Field(description="Part of a name, an e-mail address, or a phone number.")
    ] = None
    vip: bool | None = None
    cursor: _Cursor = None
    limit: Annotated[int, Field(ge=1, le=MOST_CONTACTS)] = 50


class ContactBody(Strict):
    """What is corrected; what is left out stays, null empties."""

    name: Key | None = None
    email: _Email | None = None
    segment: Key | None = None
    vip: StrictBool = False

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            message = "expected at least one of name, email, segment, vip"
            raise ValueError(message)
        return self


class EraseBody(Strict):
    """Forget a person."""

    force: Annotated[StrictBool, Field(description="Also when a conversation is active.")] = False


class HoldBody(Strict):
    """Keep a person's data."""

    reason: Reason


class AuditQuery(Strict):
    """Which entries of the audit log."""

    actor: Annotated[Key | None, Field(description="agent:<uuid>, system, cli, bot.")] = None
    action: Annotated[Key | None, Field(description="thing.done, or thing.* for all.")] = None
    subject: Annotated[Key | None, Field(description="kind:id.")] = None
    correlation_id: Key | None = None
    since: Annotated[AwareDatetime | None, Field(description="With a time zone.")] = None
    until: Annotated[AwareDatetime | None, Field(description="Not included.")] = None
    cursor: _Cursor = None
    limit: Annotated[int, Field(ge=1, le=MOST_ENTRIES)] = 50
