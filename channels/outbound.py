"""What leaves on a channel, and how the bubbles of one turn become one message.

WhatsApp charges per delivered message since 2026-10-01, so the replies of one turn are merged. The
limits here are those of WhatsApp (Meta's OpenAPI description, v23.0), the narrowest channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from channels.graphemes import split

MAX_TEXT = 4096
MAX_INTERACTIVE_BODY = 1024
MAX_BUTTONS = 3
MAX_BUTTON_TITLE = 20
MAX_ROWS = 10
DEFAULT_LIST_BUTTON = "Ver opções"


@dataclass(frozen=True, slots=True)
class Button:
    """An option to choose: `id` comes back when it is chosen, `title` is what the person reads."""

    id: str
    title: str
    description: str | None = None


@dataclass(frozen=True, slots=True)
class OutboundMessage:
    """One message to a customer: text, text with up to 3 buttons, or text with a list.

    Attributes:
        text: The words; also the body above buttons or a list.
        buttons: The options; with `list_button` they are the rows of a list.
        list_button: Label of the button that opens the list; None means reply buttons.
        reply_to: Provider id of the message this one quotes.
    """

    text: str
    buttons: tuple[Button, ...] = ()
    list_button: str | None = None
    reply_to: str | None = None

    @property
    def kind(self) -> str:
        """`text`, `buttons` or `list`."""
        if not self.buttons:
            return "text"
        return "buttons" if self.list_button is None else "list"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON for a database row; `from_json` reads it back."""
        return {
            "text": self.text,
            "buttons": [
                {"id": button.id, "title": button.title, "description": button.description}
                for button in self.buttons
            ],
            "list_button": self.list_button,
            "reply_to": self.reply_to,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> OutboundMessage:
        """Read what `to_json` wrote."""
        return cls(
            text=value["text"],
            buttons=tuple(
                Button(id=item["id"], title=item["title"], description=item.get("description"))
                for item in value.get("buttons") or ()
            ),
            list_button=value.get("list_button"),
            reply_to=value.get("reply_to"),
        )


@dataclass(frozen=True, slots=True)
class OutboundTemplate:
    """A message approved beforehand, the only kind allowed outside the 24 h window.

    Attributes:
        name: The template's name in the business account.
        language: Its language code, such as `pt_BR`.
        body_parameters: Values of {{1}}, {{2}}, ... of the body.
        button_payloads: Payloads of its quick reply buttons, in their order.
    """

    name: str
    language: str
    body_parameters: tuple[str, ...] = ()
    button_payloads: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON for a database row; `from_json` reads it back."""
        return {
            "name": self.name,
            "language": self.language,
            "body_parameters": list(self.body_parameters),
            "button_payloads": list(self.button_payloads),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> OutboundTemplate:
        """Read what `to_json` wrote."""
        return cls(
            name=value["name"],
            language=value["language"],
            body_parameters=tuple(value.get("body_parameters") or ()),
            button_payloads=tuple(value.get("button_payloads") or ()),
        )


def message_from_reply(reply: Mapping[str, Any]) -> OutboundMessage:
    """One of Rasa's bubbles (`text`, `buttons` of `title` and `payload`, `image`) as a message.

    Unknown parts are left out; a button without words or payload takes the other for both.
    """
    lines = [_words(reply.get("text"))]
    lines += [_words(reply.get(part)) for part in ("image", "attachment")]
    buttons: list[Button] = []
    options = reply.get("buttons")
    for option in options if isinstance(options, list | tuple) else ():
        if not isinstance(option, Mapping):
            continue
        title = _words(option.get("title"))
        identifier = _words(option.get("payload")) or _words(option.get("id"))
        if title or identifier:
            description = _words(option.get("description")) or None
            buttons.append(
                Button(id=identifier or title, title=title or identifier, description=description)
            )
    label = _words(reply.get("list_button")) or None
    return OutboundMessage(
        text="\n".join(line for line in lines if line),
        buttons=tuple(buttons),
        list_button=label if buttons else None,
    )


def merge_replies(
    replies: Iterable[OutboundMessage | Mapping[str, Any]],
    *,
    list_button: str = DEFAULT_LIST_BUTTON,
    reply_to: str | None = None,
) -> tuple[OutboundMessage, ...]:
    """All bubbles of one turn as one message, or as few as the channel's limits allow.

    Texts are joined by a blank line. The options of the last bubble that has some are offered;
    earlier options belong to a question that has already been followed by another. More than
    3 options, or one whose title does not fit on a button, become a list; more than 10 become
    several lists. A text too long for one message is cut at the best places, and the options stand
    under its last part.

    Args:
        replies: Rasa's bubbles (mappings) or messages, in order.
        list_button: Label that opens a list, in the customer's language.
        reply_to: Provider id of the message to quote; only the first message quotes it.

    Returns:
        The messages in sending order; none when there is nothing to say.
    """
    bubbles = [
        reply if isinstance(reply, OutboundMessage) else message_from_reply(reply)
        for reply in replies
    ]
    text = "\n\n".join(words for bubble in bubbles if (words := bubble.text.strip()))
    with_options = next((bubble for bubble in reversed(bubbles) if bubble.buttons), None)
    quoted = reply_to or next((bubble.reply_to for bubble in bubbles if bubble.reply_to), None)
    if with_options is None:
        messages = [OutboundMessage(part) for part in split(text, MAX_TEXT)]
    else:
        options = _without_repeats(with_options.buttons)
        label = with_options.list_button or list_button
        messages = _with_options(text, options, label)
    if messages and quoted:
        messages[0] = replace(messages[0], reply_to=quoted)
    return tuple(messages)


def _with_options(text: str, options: tuple[Button, ...], label: str) -> list[OutboundMessage]:
    # WhatsApp refuses an empty body, so options without words say the label.
    parts = split(text, MAX_TEXT, last_limit=MAX_INTERACTIVE_BODY) or (label,)
    messages = [OutboundMessage(part) for part in parts[:-1]]
    fits_buttons = len(options) <= MAX_BUTTONS and all(
        len(option.title) <= MAX_BUTTON_TITLE and not option.description for option in options
    )
    if fits_buttons:
        return [*messages, OutboundMessage(parts[-1], options)]
    pages = [options[start : start + MAX_ROWS] for start in range(0, len(options), MAX_ROWS)]
    for number, page in enumerate(pages, start=1):
        body = parts[-1] if number == 1 else f"{label} ({number}/{len(pages)})"
        messages.append(OutboundMessage(body, page, list_button=label))
    return messages


def _without_repeats(buttons: tuple[Button, ...]) -> tuple[Button, ...]:
    """Meta refuses two options with one id (131009); the first stays."""
    first: dict[str, Button] = {}
    for button in buttons:
        first.setdefault(button.id, button)
    return tuple(first.values())


def _words(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
