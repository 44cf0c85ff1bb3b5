"""Conversation files: what a designer writes, read with errors that name file, step and key."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError


class ScriptError(Exception):
    """A conversation file is wrong; the text says where and what was expected."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Expectation(_Strict):
    """What must be true after a step; everything that is not named is not checked."""

    reply: list[str] = Field(default_factory=list)
    """Words that the customer's new message must hold, whatever their case."""
    no_reply: bool = False
    buttons: int | None = None
    intent: str | None = None
    outcome: Literal["stay", "clarify", "handoff"] | None = None
    rule: str | None = None
    reason: str | None = None
    level: Literal["N1", "N2", "N3"] | None = None
    queue: str | None = None
    priority: Literal["low", "normal", "high", "urgent"] | None = None
    control: Literal["bot", "queued", "human"] | None = None
    ticket: Literal["none", "new", "open", "resolved", "closed"] | None = None
    notified: list[Literal["email", "whatsapp"]] = Field(default_factory=list)


class Step(_Strict):
    """One thing that happens: the customer writes, presses, sends or is silent; an agent acts."""

    customer: str | None = None
    button: str | int | None = None
    sends: Literal["audio", "image", "document", "sticker", "location"] | None = None
    silence: Literal[True] | None = None
    """The customer does not answer until the bot says something by itself."""
    agent: Literal["take", "reply", "note", "resolve", "return-to-bot", "escalate"] | None = None
    text: str | None = None
    level: Literal["N1", "N2", "N3"] | None = None
    at: str | None = Field(default=None, pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    """Time of day in Sao Paulo at which the customer writes; the last such moment."""
    expect: Expectation = Field(default_factory=Expectation)

    @model_validator(mode="after")
    def _one_action(self) -> Step:
        given = [
            name
            for name in ("customer", "button", "sends", "silence", "agent")
            if getattr(self, name) is not None
        ]
        if len(given) != 1:
            message = "expected exactly one of customer, button, sends, silence, agent"
            raise ValueError(message)
        if self.agent in {"reply", "note", "escalate"} and not self.text:
            message = f"agent: {self.agent} needs text"
            raise ValueError(message)
        return self


class Conversation(_Strict):
    """One conversation of the demonstration."""

    title: str
    shows: str
    phone: str = Field(pattern=r"^\+\d{10,15}$")
    name: str
    steps: list[Step] = Field(min_length=1)


def read_conversations(folder: Path) -> list[Conversation]:
    """All conversations of a folder, in the order of their file names.

    Raises:
        ScriptError: naming file, place and what was expected.
    """
    files = sorted(folder.glob("*.yml"))
    if not files:
        message = f"{folder}: expected at least one conversation file (*.yml)"
        raise ScriptError(message)
    return [_read(path) for path in files]


def _read(path: Path) -> Conversation:
    try:
        document: Any = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        return Conversation.model_validate(document)
    except YAMLError as error:
        message = f"{path.name}: {error}"
        raise ScriptError(message) from error
    except ValidationError as error:
        lines = [
            f"{path.name}: {'.'.join(str(part) for part in problem['loc']) or 'file'}: "
            f"{problem['msg']}"
            for problem in error.errors()
        ]
        raise ScriptError("\n".join(lines)) from error
