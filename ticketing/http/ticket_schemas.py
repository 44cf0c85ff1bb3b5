"""Bodies and queries of what is done to a ticket besides answering and moving it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ticketing.domain.attachment import MAX_NAME
from ticketing.domain.ticket_tags import MAX_TAG, MAX_TAGS, tag_of
from ticketing.http.schemas import Reason, Strict, Version, readable

Tag = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_TAG,
        description="Letters and digits joined by - _ . or :; stored in lower case.",
    ),
    AfterValidator(tag_of),
]


class StatusBody(Strict):
    """Wait for somebody, or go on, without writing to the customer."""

    status: Literal["open", "pending_customer", "pending_third_party"]
    reason: Annotated[
        Reason | None, Field(description="Needed for the pending ones: they stop clocks.")
    ] = None
    expected_version: Version = None


class TagsBody(Strict):
    """Put tags on a ticket and take tags off."""

    add: Annotated[tuple[Tag, ...], Field(max_length=MAX_TAGS)] = ()
    remove: Annotated[tuple[Tag, ...], Field(max_length=MAX_TAGS)] = ()
    expected_version: Version = None

    @model_validator(mode="after")
    def _wants_something(self) -> TagsBody:
        if not (self.add or self.remove):
            message = "expected tags in add or in remove"
            raise ValueError(message)
        return self


class ReleaseBody(Strict):
    """Give the ticket back to its queue."""

    reason: Reason
    expected_version: Version = None


class UploadQuery(Strict):
    """What the file is called."""

    filename: Annotated[
        str,
        Field(min_length=3, max_length=MAX_NAME, description="With its ending: fatura.pdf."),
        AfterValidator(readable),
    ]
