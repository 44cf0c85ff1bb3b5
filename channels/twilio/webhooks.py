"""What Twilio's webhooks say: the status of a message we sent, and messages people write to us."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from channels.message import stable_hash
from channels.twilio.signature import Form

_LONGEST_SID = 64


class Reach(StrEnum):
    """How far a message came, by what Twilio calls it."""

    TAKEN = "taken"
    """Accepted, queued, on its way, or handed to the carrier."""
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    NOTHING = "nothing"
    """A word that says nothing about a message of ours."""


_REACH = {
    "accepted": Reach.TAKEN,
    "scheduled": Reach.TAKEN,
    "queued": Reach.TAKEN,
    "sending": Reach.TAKEN,
    "sent": Reach.TAKEN,
    "partially_delivered": Reach.TAKEN,
    "delivered": Reach.DELIVERED,
    "read": Reach.READ,
    "undelivered": Reach.FAILED,
    "failed": Reach.FAILED,
    "canceled": Reach.FAILED,
}


GOOD_STATUSES = tuple(status for status, reach in _REACH.items() if reach is not Reach.FAILED)


def key_of_status(sid: str, status: str, error_code: str | None = None) -> str:
    """What a status callback is known by."""
    return f"status:{sid}:{status}:{error_code or ''}"


@dataclass(frozen=True, slots=True)
class StatusReport:
    """A status callback.

    Attributes:
        sid: Twilio's id of the message; empty when it did not say.
        status: In Twilio's words.
        reach: The same, in ours.
        error_code: Why it failed; None when it did not, or nobody knows.
        whole: A hash of every field, which stands for an id that is missing.
    """

    sid: str
    status: str
    reach: Reach
    error_code: str | None
    whole: str

    @property
    def key(self) -> str:
        """The same for a callback that comes twice."""
        return key_of_status(self.sid or self.whole, self.status, self.error_code)


def status_report(form: Form) -> StatusReport:
    """Read a status callback; every field may be missing."""
    status = (form.get("MessageStatus") or form.get("SmsStatus")).strip().lower()
    code = form.get("ErrorCode").strip()
    return StatusReport(
        sid=_sid(form),
        status=status[:_LONGEST_SID],
        reach=_REACH.get(status, Reach.NOTHING),
        error_code=code[:_LONGEST_SID] if code not in {"", "0"} else None,
        whole=stable_hash(form.to_json()),
    )


class Wish(StrEnum):
    """What a person wants who writes to our number."""

    STOP = "stop"
    START = "start"
    HELP = "help"
    NONE = "none"


_WORDS = {
    # Twilio's own: twilio.com/docs/messaging/tutorials/advanced-opt-out
    Wish.STOP: "stop stopall unsubscribe cancel end quit revoke optout",
    Wish.START: "start yes unstop",
    Wish.HELP: "help info",
}
_OUR_WORDS = {
    # Twilio does not know these in Portuguese and Spanish; we do.
    Wish.STOP: "parar pare sair cancelar descadastrar alto baja detener salir",
    Wish.START: "iniciar voltar comecar empezar volver",
    Wish.HELP: "ajuda ayuda",
}
WISHES = {
    word: wish
    for table in (_WORDS, _OUR_WORDS)
    for wish, words in table.items()
    for word in words.split()
}


@dataclass(frozen=True, slots=True)
class IncomingSms:
    """A message somebody wrote to our number.

    Attributes:
        sid: Twilio's id of it.
        sender: Their number as Twilio writes it.
        wish: Whether they want our messages.
        whole: A hash of every field, which stands for an id that is missing.
    """

    sid: str
    sender: str
    wish: Wish
    whole: str

    @property
    def key(self) -> str:
        """The same for a webhook that comes twice."""
        return f"incoming:{self.sid or self.whole}"


def incoming_sms(form: Form) -> IncomingSms:
    """Read an incoming message.

    `OptOutType` decides where Twilio sends it (Advanced Opt-Out); else one word that is the whole
    message. A sentence with such a word in it is no wish: "do not stop" is not STOP.
    """
    named = form.get("OptOutType").strip().lower()
    wish = Wish(named) if named in {"stop", "start", "help"} else wish_of(form.get("Body"))
    return IncomingSms(
        sid=_sid(form),
        sender=form.get("From").strip(),
        wish=wish,
        whole=stable_hash(form.to_json()),
    )


def wish_of(text: str) -> Wish:
    """What a text of one word asks for."""
    plain = unicodedata.normalize("NFD", text.casefold())
    word = "".join(c for c in plain if c.isalpha() or c.isspace()).strip()
    return WISHES.get(word, Wish.NONE)


def _sid(form: Form) -> str:
    return (form.get("MessageSid") or form.get("SmsSid") or form.get("SmsMessageSid"))[
        :_LONGEST_SID
    ]
