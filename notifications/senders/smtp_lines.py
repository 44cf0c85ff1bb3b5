"""Connections to a mail server (RFC 5321), kept open between mails, step by step.

The standard library's `sendmail` hides whether the message was handed over when the line breaks;
that is the difference between "was not sent" and "may have been sent".

A line that was kept may have been closed by the server meanwhile. That shows before anything of the
mail was handed over, so the mail takes a new line and nobody notices.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import ssl
import threading
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from notifications.domain.failure import Consequence, Failure, FailureKind, SendFailedError
from notifications.services.provider_failures import failure_for

STEP_TIMEOUT_SECONDS = 10.0
"""For each step (connect, greeting, TLS, login, sender, recipient, body, answer)."""

MOST_KEPT = 8
"""Lines kept open: as many as are sent at once. Servers admit 10 to 20 from one address."""
LONGEST_IDLE = timedelta(seconds=30)
"""Servers wait 5 minutes by RFC 5321, many much less; a new line costs some 100 ms with TLS."""
MOST_MAILS = 100
"""On one line: the default of Postfix and Exchange; beyond it they answer 421."""

CLOSING = 421
_DONE, _GO_ON = 2, 3  # first digits (RFC 5321 section 4.2.1)
QUIT_TIMEOUT_SECONDS = 1.0
_FIRST_FINAL = 500  # replies from here on are final (RFC 5321 section 4.2.1)
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
class Mail:
    """One message to one recipient, as bytes with CRLF."""

    sender: str
    recipient: str
    content: bytes


class _StaleLineError(Exception):
    """A line that was kept is of no use any more; nothing of the mail was handed over."""


@dataclass(slots=True)
class _Line:
    smtp: smtplib.SMTP
    used_at: datetime
    mails: int = 0

    def is_fresh(self, now: datetime) -> bool:
        return self.mails < MOST_MAILS and now - self.used_at < LONGEST_IDLE


@dataclass(slots=True)
class SMTPLines:
    """Lines to one server. Used by threads; each line by one at a time."""

    server: SMTPServer
    _kept: list[_Line] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    opened: int = 0
    """Lines opened so far."""

    def hand_over(self, mail: Mail, *, now: datetime) -> None:
        """Hand one mail over, on a kept line or a new one; blocks.

        Raises:
            SendFailedError: when it was refused, or when nobody knows.
        """
        kept = self._take(now)
        if kept is not None:
            with contextlib.suppress(_StaleLineError):
                self._use(kept, mail, now=now, is_kept=True)
                return
        self._use(self._open(now), mail, now=now, is_kept=False)

    def close(self) -> None:
        """Say goodbye on every kept line."""
        with self._lock:
            lines, self._kept = self._kept, []
        for line in lines:
            _quit(line.smtp)

    def _take(self, now: datetime) -> _Line | None:
        old: list[_Line] = []
        found: _Line | None = None
        with self._lock:
            while self._kept and found is None:
                line = self._kept.pop()  # the one used last: the others may run out
                if line.is_fresh(now):
                    found = line
                else:
                    old.append(line)
        for line in old:
            line.smtp.close()  # without a goodbye: it would be waited for
        return found

    def _open(self, now: datetime) -> _Line:
        try:
            line = _Line(_connect(self.server), now)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise SendFailedError(_not_connected(error)) from error
        with self._lock:
            self.opened += 1
        return line

    def _use(self, line: _Line, mail: Mail, *, now: datetime, is_kept: bool) -> None:
        """Send on a line; it is kept when the server is ready for another mail."""
        ready = False
        try:
            ready = _transaction(line.smtp, mail, is_kept=is_kept)
        except _RefusedError as refusal:
            ready = refusal.ready and _reset(line.smtp)
            raise SendFailedError(refusal.failure) from refusal
        finally:
            if ready:
                self._keep(line, now)
            else:
                line.smtp.close()

    def _keep(self, line: _Line, now: datetime) -> None:
        line.mails += 1
        line.used_at = now
        with self._lock:
            if len(self._kept) < MOST_KEPT:
                self._kept.append(line)
                return
        _quit(line.smtp)


class _RefusedError(Exception):
    """A reply said no. `ready`: the line is in order and can be used again after a RSET."""

    def __init__(self, failure: Failure, *, ready: bool) -> None:
        self.failure = failure
        self.ready = ready
        super().__init__(failure.code)


def classify_reply(code: int, text: bytes) -> Failure:
    """What a refusing reply of a mail server means: `channels.codes.smtp`.

    The reply's words are left out: they often hold the address.
    """
    match = _ENHANCED.match(text)
    name = f"{code}_{match[1].decode()}" if match else str(code)
    if not 0 <= code < 1000:  # noqa: PLR2004 - no reply has another number of digits
        return Failure(FailureKind.TRANSIENT, f"smtp_{code}", detail="a reply that is none")
    return failure_for("smtp", name)


def _transaction(smtp: smtplib.SMTP, mail: Mail, *, is_kept: bool) -> bool:
    """MAIL, RCPT, DATA and the body. Whether the line can be used again."""
    written = False
    try:
        _expect(smtp.mail(mail.sender), is_kept=is_kept, of_recipient=False)
        _expect(smtp.rcpt(mail.recipient))
        smtp.putcmd("data")
        _expect(smtp.getreply(), _GO_ON)
        # RFC 5321 section 4.5.2: a line that begins with a dot gets another one.
        smtp.send(_LEADING_DOT.sub(b"..", mail.content) + b".\r\n")
        written = True
        _expect_verdict(smtp.getreply())
    except (smtplib.SMTPException, OSError, ValueError) as error:
        # A server that hangs would hang on another line too; smtplib hides that in the context.
        hangs = isinstance(error.__context__, TimeoutError)
        if is_kept and not written and not hangs:
            raise _StaleLineError from error
        raise SendFailedError(_broken(error, written=written)) from error
    return True


def _expect(
    reply: tuple[int, bytes],
    wanted: int = _DONE,
    *,
    is_kept: bool = False,
    of_recipient: bool = True,
) -> None:
    """Go on when the reply's first digit is the wanted one.

    `of_recipient`: what is refused may be the recipient. The reply to MAIL is about the sender: a
    553 there says nothing against the address that the notice is for.
    """
    code, text = reply
    if code // 100 == wanted:
        return
    # On the first command of a kept line "come back" mostly means "not on this line".
    if is_kept and code < _FIRST_FINAL:
        raise _StaleLineError
    failure = classify_reply(code, text)
    if not of_recipient:
        failure = _blamed_on_us(failure)
    raise _RefusedError(failure, ready=code not in {CLOSING, -1})


def _blamed_on_us(failure: Failure) -> Failure:
    if failure.kind is FailureKind.PERMANENT:
        return replace(failure, consequence=Consequence.ALERT)
    if failure.consequence is Consequence.STRIKE_RECIPIENT:
        return replace(failure, consequence=Consequence.NONE)
    return failure


def _expect_verdict(reply: tuple[int, bytes]) -> None:
    """The answer to the whole message, by its first digit (RFC 5321 section 4.2.1).

    2 took it, 4 and 5 did not. Anything else says neither: it may have been taken.
    """
    match reply[0] // 100:
        case 2:
            return
        case 4 | 5:
            _expect(reply)
        case _:
            raise smtplib.SMTPResponseException(*reply)


def _reset(smtp: smtplib.SMTP) -> bool:
    """Forget the mail that was refused. Whether the line is ready for another."""
    with contextlib.suppress(smtplib.SMTPException, OSError):
        code, _ = smtp.rset()
        return code // 100 == _DONE
    return False


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


def _not_connected(error: Exception) -> Failure:
    match error:
        case smtplib.SMTPAuthenticationError():
            return _refused_login(error)
        # A bare SMTPException: of the ways to log in that the server offers we know none.
        case smtplib.SMTPException() if type(error) in _NOT_OFFERED:
            detail = "the mail server offers no STARTTLS or no login; check SMTP_TLS and SMTP_USER"
            return Failure(FailureKind.STOP_CHANNEL, "smtp_unsupported", detail=detail)
        case ssl.SSLCertVerificationError():
            detail = "the mail server's certificate is not valid for SMTP_HOST"
            return Failure(FailureKind.STOP_CHANNEL, "tls_certificate", detail=detail)
        case smtplib.SMTPResponseException():
            return _refused_connection(error)
        case _:
            return _broken(error, written=False)


_NOT_OFFERED = frozenset({smtplib.SMTPNotSupportedError, smtplib.SMTPException})


def _refused_connection(error: smtplib.SMTPResponseException) -> Failure:
    """A refusal before any mail: of this machine or account, whatever notice happens to wait."""
    reply = error.smtp_error if isinstance(error.smtp_error, bytes) else b""
    failure = _blamed_on_us(classify_reply(error.smtp_code, reply))
    if error.smtp_code < _FIRST_FINAL:
        return failure
    return replace(
        failure,
        kind=FailureKind.STOP_CHANNEL,
        consequence=Consequence.ALERT,
        retry_after=None,
        wait_is_ours=False,
        attempts_allowed=None,
    )


def _refused_login(error: smtplib.SMTPAuthenticationError) -> Failure:
    """A 4yz answer to a login is a server in trouble, not a wrong password."""
    if error.smtp_code < _FIRST_FINAL:
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
