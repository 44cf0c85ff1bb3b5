"""Bodies and queries of runbooks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ticketing.http.schemas import Key, Reason, Strict, Version, Words

Language = Annotated[Literal["pt", "en", "es"], Field(description="Language of what is read.")]
_Runbook = Annotated[Key | None, Field(description="Refuse if the ticket has another runbook.")]
_RunbookVersion = Annotated[
    Key | None, Field(description="Refuse if the ticket is worked by another version of it.")
]


class LanguageQuery(Strict):
    """In which language."""

    language: Language = "pt"


class OffersQuery(Strict):
    """In which language the texts are."""

    language: Annotated[
        Literal["pt", "en", "es"] | None, Field(description="Without: the customer's.")
    ] = None


class StepBody(Strict):
    """Tick a step off, or take the tick back. What stands so already is left so."""

    step: Key
    note: Reason | None = None
    runbook: _Runbook = None
    version: _RunbookVersion = None


class StepNoteBody(Strict):
    """Write something down at a step; colleagues read it, the customer never does."""

    step: Key
    note: Reason
    runbook: _Runbook = None
    version: _RunbookVersion = None


class TemplateReplyBody(Strict):
    """Send a text of a runbook. With `text` these words leave: the text as the agent edited it."""

    template: Key
    text: Words | None = None
    language: Annotated[
        Literal["pt", "en", "es"] | None, Field(description="Without: the customer's.")
    ] = None
    status: Literal["open", "pending_customer", "pending_third_party"] = Field(
        default="open", description="What the ticket waits for afterwards."
    )
    expected_version: Version = None
