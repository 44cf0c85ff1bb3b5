"""Send a notice by SMTP (RFC 5321), step by step, so that it is known how far it came.

The standard library's `sendmail` hides whether the message was handed over when the line breaks;
that is the difference between "was not sent" and "may have been sent".
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import smtplib
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from enum import StrEnum
from typing import TypeVar

from notifications.domain.failure import Failure, FailureKind, SendFailedError
from notifications.domain.texts import render
from notifications.services.ports import Accepted, Outgoing

STEP_TIMEOUT_SECONDS = 10.0
"""For each step (connect, greeting, TLS, login, sender, recipient, body, answer)."""

CREDENTIALS_REFUSED = {530, 534, 535, 538}  # RFC 4954: authentication needed, weak, refused
MAILBOX_FULL = {"4.2.2", "5.2.2"}  # RFC 3463; mailboxes are emptied, so neither is final
START_BODY, ACCEPTED, WILL_FORWARD = 354, 250, 251
QUIT_TIMEOUT_SECONDS = 1.0
_ENHANCED = re.compile(rb"^([245]\.\d{1,3}\.\d{1,3})\b")
_LEADING_DOT = re.compile(rb"(?m)^\.")


class Tls(StrEnum):
    """How the connection is secured. There is no silent way down from one to a lesser one."""

    NONE = "none"
    STARTTLS = "starttls"
    SSL = "ssl"


@dataclass(frozen=True, slots=True)
class SMTPServer:
    """Where mail is handed over."""

    host: str
    port: int
    tls: Tls
    user: str | None = None
    password: str | None = None
    timeout_seconds: float = STEP_TIMEOUT_SECONDS
    tls_context: ssl.SSLContext | None = None
    """None: certificates are checked against the system's authorities."""


@dataclass(frozen=True, slots=True)
class EmailSender:
    """Sends notices as e-mail, text and HTML.

    The Message-ID is made of the notification's id: a second attempt is the same message, and
    mailboxes that know it keep one copy.
    """

    server: SMTPServer
    sender: str
    """SMTP_FROM: an address, or `Name <address>`."""
    frontend_url: str

    async def send(self, outgoing: Outgoing, *, now: datetime) -> Accepted:
        """Hand the notice to the mail server.

        Raises:
            SendFailedError: see the table in `classify_reply`. `unknown` when the whole message was
                written and no answer came.
        """
        message = self._message(outgoing, now)
        from_address = parseaddr(self.sender)[1]
        await _in_thread(lambda: _hand_over(self.server, message, from_address, outgoing.recipient))
        return Accepted(provider_id=str(message["Message-ID"]))

    def _message(self, outgoing: Outgoing, now: datetime) -> EmailMessage:
        words = render(
            outgoing.event,
            outgoing.context,
            language=outgoing.language,
            frontend_url=self.frontend_url,
        )
        message = EmailMessage(policy=SMTP)
        message["From"] = self.sender
        message["To"] = _recipient(outgoing.recipient)
        message["Subject"] = words.subject
        message["Date"] = format_datetime(now)
        message["Message-ID"] = f"<{outgoing.notification_id}@{_domain(self.sender)}>"
        # RFC 3834: no vacation notice shall answer.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(words.text, cte="quoted-printable")
        message.add_alternative(words.html, subtype="html", cte="quoted-printable")
        return message


def classify_reply(code: int, text: bytes) -> Failure:
    """What a refusing reply of a mail server means (RFC 5321 section 4.2, codes of RFC 3463).

    The reply's words are left out: they often hold the address.
    """
    match = _ENHANCED.match(text)
    enhanced = match[1].decode() if match else ""
    name = f"smtp_{code}" + (f"_{enhanced}" if enhanced else "")
    if code in CREDENTIALS_REFUSED:
        detail = "the mail server refuses SMTP_USER and SMTP_PASS, or wants them"
        return Failure(FailureKind.STOP_CHANNEL, name, detail=detail)
    if enhanced in MAILBOX_FULL:
        return Failure(FailureKind.TRANSIENT, name, detail="the mailbox is full")
    if code < 500:  # noqa: PLR2004 - 4yz is transient by RFC 5321; a reply that makes no sense too
        return Failure(FailureKind.TRANSIENT, name, detail="the mail server asks to come back")
    detail = "the mail server refuses the recipient or the message for good"
    return Failure(FailureKind.PERMANENT, name, detail=detail)


def _hand_over(server: SMTPServer, message: EmailMessage, sender: str, recipient: str) -> None:
    body = message.as_bytes()
    written = False
    try:
        smtp = _connect(server)
        try:
            _expect(smtp.mail(sender), ACCEPTED)
            _expect(smtp.rcpt(recipient), ACCEPTED, WILL_FORWARD)
            smtp.putcmd("data")
            _expect(smtp.getreply(), START_BODY)
            # RFC 5321 section 4.5.2: a line that begins with a dot gets another one.
            smtp.send(_LEADING_DOT.sub(b"..", body) + b".\r\n")
            written = True
            _expect(smtp.getreply(), ACCEPTED)
        finally:
            _quit(smtp)
    except smtplib.SMTPAuthenticationError as error:
        raise SendFailedError(_refused_login(error)) from error
    except smtplib.SMTPNotSupportedError as error:
        detail = "the mail server offers no STARTTLS or no login; check SMTP_TLS and SMTP_USER"
        raise SendFailedError(_stop("smtp_unsupported", detail)) from error
    except ssl.SSLCertVerificationError as error:
        detail = "the mail server's certificate is not valid for SMTP_HOST"
        raise SendFailedError(_stop("tls_certificate", detail)) from error
    except smtplib.SMTPResponseException as error:
        reply = error.smtp_error if isinstance(error.smtp_error, bytes) else b""
        raise SendFailedError(classify_reply(error.smtp_code, reply)) from error
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise SendFailedError(_broken(error, written=written)) from error


def _connect(server: SMTPServer) -> smtplib.SMTP:
    """A connection ready for mail."""
    # The name for EHLO: without it smtplib asks the DNS for this machine's, for seconds.
    name, seconds = "ponte.local", server.timeout_seconds
    context = server.tls_context or ssl.create_default_context()
    smtp: smtplib.SMTP
    if server.tls is Tls.SSL:
        smtp = smtplib.SMTP_SSL(
            server.host, server.port, local_hostname=name, timeout=seconds, context=context
        )
    else:
        smtp = smtplib.SMTP(server.host, server.port, local_hostname=name, timeout=seconds)
    try:
        if server.tls is Tls.STARTTLS:
            smtp.starttls(context=context)
        smtp.ehlo_or_helo_if_needed()
        if server.user:
            smtp.login(server.user, server.password or "")
    except BaseException:
        smtp.close()
        raise
    return smtp


def _quit(smtp: smtplib.SMTP) -> None:
    """Say goodbye. What the server does with it changes nothing, so it is not waited for long."""
    with contextlib.suppress(smtplib.SMTPException, OSError):
        if smtp.sock is not None:
            smtp.sock.settimeout(QUIT_TIMEOUT_SECONDS)
            smtp.docmd("QUIT")
    smtp.close()


def _stop(code: str, detail: str) -> Failure:
    return Failure(FailureKind.STOP_CHANNEL, code, detail=detail)


def _expect(reply: tuple[int, bytes], *wanted: int) -> None:
    code, text = reply
    if code not in wanted:
        raise SendFailedError(classify_reply(code, text))


def _refused_login(error: smtplib.SMTPAuthenticationError) -> Failure:
    """A 4yz answer to a login is a server in trouble, not a wrong password."""
    if error.smtp_code < 500:  # noqa: PLR2004
        return Failure(FailureKind.TRANSIENT, f"smtp_{error.smtp_code}", detail="login deferred")
    detail = "the mail server refuses SMTP_USER and SMTP_PASS"
    return Failure(FailureKind.STOP_CHANNEL, f"smtp_{error.smtp_code}", detail=detail)


def _broken(error: Exception, *, written: bool) -> Failure:
    name = type(error).__name__
    if written:
        detail = f"the whole message was written, then {name}: it may have been taken"
        return Failure(FailureKind.UNKNOWN, "smtp_no_answer", detail=detail)
    detail = f"the connection failed before the message was handed over ({name})"
    return Failure(FailureKind.TRANSIENT, "smtp_connection", detail=detail)


def _recipient(address: str) -> Address:
    try:
        parsed = Address(addr_spec=address)
        address.encode("ascii")
    except (ValueError, IndexError, HeaderParseError) as error:
        failure = Failure(FailureKind.PERMANENT, "address_invalid", detail="not an e-mail address")
        raise SendFailedError(failure) from error
    return parsed


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
