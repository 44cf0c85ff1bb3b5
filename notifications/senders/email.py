"""Send a notice as e-mail: the message, and handing it to the mail server."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.utils import format_datetime, formataddr, parseaddr
from typing import TypeVar

from notifications.domain.failure import Consequence, Failure, FailureKind, SendFailedError
from notifications.domain.texts import render
from notifications.domain.unsubscribe import unsubscribe_url
from notifications.senders.mail_message import mail_bytes, unstructured
from notifications.senders.smtp_lines import Mail, SMTPLines, SMTPServer, Tls, classify_reply
from notifications.services.ports import Accepted, Outgoing

__all__ = ["EmailSender", "SMTPServer", "Tls", "classify_reply"]


@dataclass(slots=True)
class EmailSender:
    """Sends notices as e-mail, text and HTML.

    The Message-ID is made of the notification's id: a second attempt is the same message, and
    mailboxes that know it keep one copy. Notices about one ticket name the same ancestor, so that
    mail programs show them together.

    Attributes:
        server: Where mail is handed over.
        sender: SMTP_FROM: an address, or `Name <address>`.
        frontend_url: Where the console is, and the links that turn e-mails off.
        unsubscribe_secret: A secret of the installation that signs these links; empty: none.
    """

    server: SMTPServer
    sender: str
    frontend_url: str
    unsubscribe_secret: str = ""
    lines: SMTPLines = field(init=False)
    _from: str = field(init=False)

    def __post_init__(self) -> None:
        self.lines = SMTPLines(self.server)
        self._from = _mailbox(self.sender)

    async def send(self, outgoing: Outgoing, *, now: datetime) -> Accepted:
        """Hand the notice to the mail server.

        Raises:
            SendFailedError: see the table in `channels.codes.smtp`. `unknown` when the whole
                message was written and no answer came.
        """
        address = mail_address(outgoing.recipient)
        content = self._message(outgoing, address, now)
        mail = Mail(parseaddr(self.sender)[1], address.addr_spec, content)
        await _in_thread(lambda: self.lines.hand_over(mail, now=now))
        return Accepted(provider_id=self._message_id(outgoing))

    async def close(self) -> None:
        """Say goodbye to the mail server."""
        await _in_thread(self.lines.close)

    def _message(self, outgoing: Outgoing, address: Address, now: datetime) -> bytes:
        link = self._unsubscribe_link(outgoing)
        words = render(
            outgoing.event,
            outgoing.context,
            language=outgoing.language,
            frontend_url=self.frontend_url,
            unsubscribe_url=link,
        )
        headers = [
            ("From", self._from),
            ("To", address.addr_spec),
            ("Subject", unstructured(words.subject)),
            ("Date", format_datetime(now)),
            ("Message-ID", self._message_id(outgoing)),
            # RFC 3834: no vacation notice shall answer.
            ("Auto-Submitted", "auto-generated"),
        ]
        ancestor = _ancestor(outgoing, _domain(self.sender))
        if ancestor is not None:
            headers += [("In-Reply-To", ancestor), ("References", ancestor)]
        if link is not None:
            headers.append(("List-Unsubscribe", f"<{link}>"))
            if link.startswith("https://"):  # RFC 8058 admits nothing else
                headers.append(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
        boundary = f"=_{outgoing.notification_id.hex}"
        return mail_bytes(headers, text=words.text, html=words.html, boundary=boundary)

    def _message_id(self, outgoing: Outgoing) -> str:
        return f"<{outgoing.notification_id}@{_domain(self.sender)}>"

    def _unsubscribe_link(self, outgoing: Outgoing) -> str | None:
        """The link that turns this kind off; an urgent one has none.

        Mail programs offer it as one button beside "spam", and scanners have pressed it: nobody
        shall lose the alerts of the night by that. They are turned off on the preferences' page.
        """
        if outgoing.urgent or not self.unsubscribe_secret:
            return None
        return unsubscribe_url(self.unsubscribe_secret, self.frontend_url, outgoing.notification_id)


def mail_address(written: str) -> Address:
    """The address as mail servers everywhere take it: a domain of any script as `xn--...`.

    Raises:
        SendFailedError: when it is none, or when its part before the @ is not ASCII: few servers
            carry that (SMTPUTF8), and one on the way that does not would return the notice later,
            to nobody.
    """
    local, at, domain = written.rpartition("@")
    if not local.isascii():
        detail = "the part before the @ is not ASCII, and SMTPUTF8 is not spoken everywhere"
        raise SendFailedError(_invalid(detail))
    try:
        if not at or not domain.isascii():
            domain = domain.encode("idna").decode("ascii")
        parsed = Address(addr_spec=f"{local}@{domain}" if at else written)
    except (ValueError, IndexError, HeaderParseError) as error:
        raise SendFailedError(_invalid("not an e-mail address")) from error
    return parsed


def _invalid(detail: str) -> Failure:
    return Failure(
        FailureKind.PERMANENT,
        "address_invalid",
        detail=detail,
        consequence=Consequence.DISABLE_RECIPIENT,
    )


def _mailbox(sender: str) -> str:
    """SMTP_FROM as a header: a name that is not ASCII becomes encoded words."""
    name, address = parseaddr(sender)
    if not name:
        return address
    if name.isascii():
        return formataddr((name, address))
    return f"{unstructured(name)} <{address}>"


def _ancestor(outgoing: Outgoing, domain: str) -> str | None:
    """The Message-ID that all notices about a ticket name; nothing was ever sent under it."""
    try:
        ticket_id = uuid.UUID(str(outgoing.context.get("ticket_id")))
    except ValueError:
        return None
    return f"<ticket.{ticket_id}@{domain}>"


def _domain(sender: str) -> str:
    return parseaddr(sender)[1].rpartition("@")[2] or "ponte.local"


T = TypeVar("T")


async def _in_thread(work: Callable[[], T]) -> T:
    """Run blocking work in a thread that does not hold up the end of the process.

    `asyncio.to_thread` would: its threads are waited for, however long a mail server hangs.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def finish(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # T may itself be None

    def run() -> None:
        result: T | None = None
        problem: BaseException | None = None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - it is raised again in the waiting task
            problem = error
        try:
            loop.call_soon_threadsafe(finish, result, problem)
        except RuntimeError:
            return  # the loop has ended; the lease of the row covers what is not known now

    threading.Thread(target=run, name="smtp", daemon=True).start()
    return await future
