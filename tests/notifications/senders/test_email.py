"""Against a real SMTP server (aiosmtpd) that answers as each recipient's script says."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import defaultdict
from collections.abc import Callable
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from kit.clock import FakeClock
from notifications.domain.failure import Consequence, FailureKind, SendFailedError
from notifications.domain.jobs import JobName
from notifications.domain.unsubscribe import read_token
from notifications.senders.email import EmailSender, SMTPServer, Tls, classify_reply
from notifications.senders.smtp_lines import LONGEST_IDLE, MOST_KEPT, MOST_MAILS
from notifications.services.ports import Outgoing
from tests.notifications.conftest import World

NOTICE = "01890000-0000-7000-8000-000000000001"
SENDER = "Ponte <avisos@ponte.example>"
HANG = "hang"


class Mailbox:
    """Scripts of replies by recipient, for RCPT and for the end of DATA, and what was taken."""

    def __init__(self) -> None:
        self.mail = []
        self.rcpt = defaultdict(list)
        self.data = defaultdict(list)
        self.taken = []
        self.release = asyncio.Event()
        self.answers = 0

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: Any, options: Any
    ) -> Any:
        reply = await self._next(self.mail)
        if reply.startswith("250"):
            envelope.mail_from = address
        return reply

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: Any, options: Any
    ) -> Any:
        reply = await self._next(self.rcpt[address])
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> Any:  # noqa: N802 - aiosmtpd's name
        reply = await self._next(self.data[envelope.rcpt_tos[0]])
        if reply.startswith("250"):
            self.taken.append(message_from_bytes(envelope.content, policy=default))
        return reply

    async def _next(self, script: Any) -> Any:
        reply = script.pop(0) if script else "250 2.0.0 Ok"
        if reply == HANG:
            await self.release.wait()
            return "421 4.4.2 too late"
        return reply


@pytest.fixture
def mailbox() -> Any:
    return Mailbox()


@pytest.fixture
def serve(mailbox: Mailbox) -> Any:
    running = []

    def start(**options: Any) -> Any:
        controller = Controller(mailbox, hostname="127.0.0.1", port=free_port(), **options)
        controller.start()
        running.append(controller)
        return controller

    yield start
    for controller in running:
        controller.loop.call_soon_threadsafe(mailbox.release.set)
        controller.stop()


def free_port() -> Any:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def sender(serve: Callable[..., Controller]) -> Any:
    controller = serve()
    return EmailSender(
        SMTPServer("127.0.0.1", controller.port, Tls.NONE, timeout_seconds=0.3),
        SENDER,
        "https://ponte.example",
    )


def outgoing(clock: FakeClock, recipient: Any = "ana@example.com", **changes: Any) -> Any:
    import uuid  # noqa: PLC0415

    values = {
        "notification_id": uuid.UUID(NOTICE),
        "attempt": 1,
        "recipient": recipient,
        "language": "pt",
        "event": "ticket-opened",
        "context": {"ticket_number": 1001, "ticket_id": "t", "queue_name": "Atenção básica"},
        "created_at": clock.now(),
        "correlation_id": "c-1",
    }
    return Outgoing(**(values | changes))


async def refusal(sender: EmailSender, clock: FakeClock, **changes: Any) -> Any:
    with pytest.raises(SendFailedError) as caught:
        await sender.send(outgoing(clock, **changes), now=clock.now())
    return caught.value.failure


async def test_a_notice_arrives_as_text_and_html_with_its_own_message_id(
    sender: EmailSender, mailbox: Mailbox, clock: FakeClock
) -> None:
    accepted = await sender.send(outgoing(clock), now=clock.now())

    (message,) = mailbox.taken
    assert accepted.provider_id == message["Message-ID"] == f"<{NOTICE}@ponte.example>"
    assert message["From"] == SENDER
    assert message["To"] == "ana@example.com"
    assert message["Subject"] == "[Ponte] Novo atendimento #1001: Atenção básica ()"
    assert message["Date"] == "Tue, 10 Mar 2026 13:00:00 +0000"
    assert message["Auto-Submitted"] == "auto-generated"
    assert "Atenção básica" in message.get_body(["plain"]).get_content()
    assert "Atenção básica" in message.get_body(["html"]).get_content()


async def test_lines_that_begin_with_a_dot_arrive_whole(
    sender: EmailSender, mailbox: Mailbox, clock: FakeClock
) -> None:
    dots = "." * 300  # folded by quoted-printable into lines of dots

    await sender.send(outgoing(clock, context={"queue_name": dots}), now=clock.now())

    (message,) = mailbox.taken
    assert dots in message.get_body(["plain"]).get_content()


async def test_a_second_attempt_is_the_same_message(
    sender: EmailSender, mailbox: Mailbox, clock: FakeClock
) -> None:
    mailbox.rcpt["ana@example.com"] = ["451 4.7.1 greylisted"]

    failure = await refusal(sender, clock)
    await sender.send(outgoing(clock, attempt=2), now=clock.now())

    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "smtp_451_4.7.1")
    assert [message["Message-ID"] for message in mailbox.taken] == [f"<{NOTICE}@ponte.example>"]


@pytest.mark.parametrize("step", ["rcpt", "data"])
@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("550 5.1.1 no such user", FailureKind.PERMANENT),
        ("554 5.7.1 policy", FailureKind.PERMANENT),
        ("552 5.2.2 mailbox full", FailureKind.TRANSIENT),
        ("552 5.3.4 too big", FailureKind.PERMANENT),
        ("450 4.2.1 busy", FailureKind.TRANSIENT),
        ("421 4.3.2 closing", FailureKind.TRANSIENT),
    ],
)
async def test_a_reply_decides_what_comes_next(  # noqa: PLR0917 - a table's columns
    sender: EmailSender, mailbox: Mailbox, clock: FakeClock, step: Any, reply: Any, kind: Any
) -> None:
    getattr(mailbox, step)["ana@example.com"] = [reply]

    failure = await refusal(sender, clock)

    assert failure.kind is kind
    assert failure.code == "smtp_" + "_".join(reply.split()[:2])
    assert mailbox.taken == []


async def test_a_server_that_hangs_before_the_body_has_taken_nothing(
    sender: EmailSender, mailbox: Mailbox, clock: FakeClock
) -> None:
    mailbox.rcpt["ana@example.com"] = [HANG]

    failure = await refusal(sender, clock)

    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "smtp_connection")


async def test_a_server_that_hangs_after_the_body_may_have_taken_it(
    sender: EmailSender, mailbox: Mailbox, clock: FakeClock
) -> None:
    mailbox.data["ana@example.com"] = [HANG]

    failure = await refusal(sender, clock)

    assert (failure.kind, failure.code) == (FailureKind.UNKNOWN, "smtp_no_answer")


@pytest.mark.parametrize("reply", ["999 what", "354 go on", "100 wait", "what is this", "600 no"])
async def test_an_answer_to_the_body_that_says_nothing_leaves_it_open_whether_it_was_taken(
    sender: EmailSender, mailbox: Mailbox, clock: FakeClock, reply: Any
) -> None:
    """Sent again at once, a notice that may go out once only would be there twice."""
    mailbox.data["ana@example.com"] = [reply]

    failure = await refusal(sender, clock)

    assert (failure.kind, failure.code) == (FailureKind.UNKNOWN, "smtp_no_answer")


@pytest.mark.parametrize("reply", ["251 forwarded", "252 maybe", "200 fine"])
async def test_every_positive_answer_to_the_body_means_that_it_was_taken(
    sender: EmailSender, mailbox: Mailbox, clock: FakeClock, reply: Any
) -> None:
    mailbox.data["ana@example.com"] = [reply]

    assert await sender.send(outgoing(clock), now=clock.now())


async def test_a_server_that_is_not_there_is_tried_again(clock: FakeClock) -> None:
    server = SMTPServer("127.0.0.1", free_port(), Tls.NONE, timeout_seconds=0.3)

    failure = await refusal(EmailSender(server, SENDER, "http://x"), clock)

    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "smtp_connection")


@pytest.mark.parametrize("address", ["", "ana", "ana@", "joão@example.com", "a@b\r\nBcc: c@d"])
async def test_an_address_that_is_none_is_given_up(
    sender: EmailSender, mailbox: Mailbox, clock: FakeClock, address: Any
) -> None:
    failure = await refusal(sender, clock, recipient=address)

    assert (failure.kind, failure.code) == (FailureKind.PERMANENT, "address_invalid")
    assert mailbox.taken == []


async def test_starttls_is_never_left_out_silently(
    serve: Callable[..., Controller], clock: FakeClock
) -> None:
    server = SMTPServer("127.0.0.1", serve().port, Tls.STARTTLS, timeout_seconds=0.5)

    failure = await refusal(EmailSender(server, SENDER, "http://x"), clock)

    assert (failure.kind, failure.code) == (FailureKind.STOP_CHANNEL, "smtp_unsupported")


@pytest.mark.parametrize(
    ("code", "kind"),
    [(535, FailureKind.STOP_CHANNEL), (454, FailureKind.TRANSIENT), (None, None)],
)
async def test_a_refused_login_stops_the_channel(
    serve: Callable[..., Controller], mailbox: Mailbox, clock: FakeClock, code: Any, kind: Any
) -> None:
    def check(server: Any, session: Any, envelope: Any, mechanism: Any, data: Any) -> Any:
        message = f"{code} no" if code else None
        return AuthResult(success=code is None, handled=False, message=message)

    controller = serve(authenticator=check, auth_require_tls=False)
    server = SMTPServer(
        "127.0.0.1", controller.port, Tls.NONE, user="ponte", password="secret", timeout_seconds=1
    )
    sender = EmailSender(server, SENDER, "http://x")

    if kind is None:
        await sender.send(outgoing(clock), now=clock.now())
        assert len(mailbox.taken) == 1
    else:
        failure = await refusal(sender, clock)
        assert (failure.kind, failure.code) == (kind, f"smtp_{code}")


async def test_a_certificate_nobody_signed_stops_the_channel(
    serve: Callable[..., Controller], clock: FakeClock, certificate: Any
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    controller = serve(tls_context=context)
    server = SMTPServer("127.0.0.1", controller.port, Tls.STARTTLS, timeout_seconds=2)

    failure = await refusal(EmailSender(server, SENDER, "http://x"), clock)

    assert (failure.kind, failure.code) == (FailureKind.STOP_CHANNEL, "tls_certificate")


async def test_starttls_with_a_known_certificate_works(
    serve: Callable[..., Controller], mailbox: Mailbox, clock: FakeClock, certificate: Any
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    controller = serve(tls_context=context, require_starttls=True)
    trust = ssl.create_default_context(cafile=certificate)
    server = SMTPServer(
        "localhost", controller.port, Tls.STARTTLS, timeout_seconds=2, tls_context=trust
    )

    await EmailSender(server, SENDER, "http://x").send(outgoing(clock), now=clock.now())

    assert len(mailbox.taken) == 1


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: Any) -> Any:
    """A self-signed certificate for localhost, with its key, in one file."""
    import datetime as dt  # noqa: PLC0415

    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2120, 1, 1, tzinfo=dt.UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + built.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (550, b"5.1.1 x", FailureKind.PERMANENT),
        (550, b"no enhanced code", FailureKind.PERMANENT),
        (452, b"4.2.2 full", FailureKind.TRANSIENT),
        (552, b"5.2.2 full", FailureKind.TRANSIENT),
        (552, b"5.3.4 too big", FailureKind.PERMANENT),
        (530, b"5.7.0 login first", FailureKind.STOP_CHANNEL),
        (538, b"", FailureKind.STOP_CHANNEL),
        (-1, b"", FailureKind.TRANSIENT),
        (299, b"", FailureKind.TRANSIENT),
    ],
)
def test_the_table_of_replies(code: Any, text: Any, kind: Any) -> None:
    assert classify_reply(code, text).kind is kind


async def test_a_greylisted_notice_is_delivered_by_the_second_attempt(
    world: World, sender: EmailSender, mailbox: Mailbox, clock: FakeClock
) -> None:
    """Sender and delivery together: 451, the wait, then 250."""
    from datetime import timedelta  # noqa: PLC0415

    mailbox.rcpt["ana@example.com"] = ["451 4.7.1 later"]
    notification_id = await world.make_notification()
    deliverer = world.deliverer(sender)

    await deliverer.deliver(notification_id, JobName.SEND_EMAIL)
    world.clock.advance(timedelta(seconds=5))
    await deliverer.deliver(notification_id, JobName.SEND_EMAIL)

    row = await world.notification(notification_id)
    assert (row.state, row.attempts) == ("sent", 2)
    assert [m["Message-ID"] for m in mailbox.taken] == [f"<{notification_id}@ponte.example>"]


async def test_a_body_whose_answer_was_lost_is_repeated_with_the_same_message_id(
    world: World, sender: EmailSender, mailbox: Mailbox
) -> None:
    from datetime import timedelta  # noqa: PLC0415

    mailbox.data["ana@example.com"] = [HANG]
    notification_id = await world.make_notification()
    deliverer = world.deliverer(sender)

    await deliverer.deliver(notification_id, JobName.SEND_EMAIL)
    assert (await world.notification(notification_id)).state == "unknown"
    world.clock.advance(timedelta(seconds=5))
    await deliverer.deliver(notification_id, JobName.SEND_EMAIL)

    assert (await world.notification(notification_id)).state == "sent"
    assert mailbox.taken[0]["Message-ID"] == f"<{notification_id}@ponte.example>"


async def test_many_notices_go_through_one_connection(
    sender: EmailSender, mailbox: Mailbox, clock: FakeClock
) -> None:
    for _ in range(5):
        await sender.send(outgoing(clock), now=clock.now())

    assert len(mailbox.taken) == 5
    assert sender.lines.opened == 1


async def test_a_refused_recipient_leaves_the_connection_usable(
    sender: EmailSender, mailbox: Mailbox, clock: FakeClock
) -> None:
    mailbox.rcpt["no@example.com"] = ["550 5.1.1 no such user"]

    failure = await refusal(sender, clock, recipient="no@example.com")
    await sender.send(outgoing(clock), now=clock.now())

    assert failure.consequence is Consequence.DISABLE_RECIPIENT
    assert [mail["To"] for mail in mailbox.taken] == ["ana@example.com"]
    assert sender.lines.opened == 1


async def test_a_connection_that_was_closed_meanwhile_costs_no_notice(
    sender: EmailSender, mailbox: Mailbox, clock: FakeClock
) -> None:
    await sender.send(outgoing(clock), now=clock.now())
    [line] = sender.lines._kept
    line.smtp.sock.shutdown(socket.SHUT_RDWR)

    await sender.send(outgoing(clock), now=clock.now())

    assert len(mailbox.taken) == 2
    assert sender.lines.opened == 2


async def test_come_back_later_on_a_kept_connection_is_said_to_the_connection(
    sender: EmailSender, mailbox: Mailbox, clock: FakeClock
) -> None:
    await sender.send(outgoing(clock), now=clock.now())
    mailbox.mail.append("421 4.7.0 too many messages on this connection")

    await sender.send(outgoing(clock), now=clock.now())

    assert len(mailbox.taken) == 2
    assert sender.lines.opened == 2


async def test_the_same_on_a_new_connection_is_said_to_us(
    sender: EmailSender, mailbox: Mailbox, clock: FakeClock
) -> None:
    mailbox.mail.append("421 4.7.0 busy")

    failure = await refusal(sender, clock)

    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "smtp_421_4.7.0")
    assert sender.lines._kept == []


async def test_an_idle_or_much_used_connection_is_left(
    sender: EmailSender, mailbox: Mailbox, clock: FakeClock
) -> None:
    await sender.send(outgoing(clock), now=clock.now())
    clock.advance(LONGEST_IDLE)
    await sender.send(outgoing(clock), now=clock.now())
    assert sender.lines.opened == 2

    sender.lines._kept[0].mails = MOST_MAILS
    await sender.send(outgoing(clock), now=clock.now())
    assert sender.lines.opened == 3


async def test_sends_at_once_have_a_connection_each_and_all_arrive(
    serve: Callable[..., Controller], mailbox: Mailbox, clock: FakeClock
) -> None:
    # Patient: twenty at once on a machine that is busy with something else take their time.
    server = SMTPServer("127.0.0.1", serve().port, Tls.NONE, timeout_seconds=5)
    sender = EmailSender(server, SENDER, "https://ponte.example")

    await asyncio.gather(*(sender.send(outgoing(clock), now=clock.now()) for _ in range(20)))

    assert len(mailbox.taken) == 20
    assert len(sender.lines._kept) <= MOST_KEPT
    await sender.close()
    assert sender.lines._kept == []


async def test_notices_about_one_ticket_are_one_thread(
    sender: EmailSender, mailbox: Mailbox, clock: FakeClock
) -> None:
    await sender.send(outgoing(clock, context={"ticket_id": NOTICE}), now=clock.now())
    await sender.send(outgoing(clock, context={"ticket_id": "a\r\nBcc: x@y"}), now=clock.now())

    in_thread, alone = mailbox.taken
    assert in_thread["References"] == in_thread["In-Reply-To"] == f"<ticket.{NOTICE}@ponte.example>"
    assert alone["References"] is None
    assert alone["Bcc"] is None
    assert in_thread["Auto-Submitted"] == "auto-generated"
    assert in_thread["Reply-To"] is None


@pytest.mark.parametrize(
    ("urgent", "frontend", "secret", "link", "one_click"),
    [
        (False, "https://ponte.example", "s", True, True),
        (False, "http://localhost:8000", "s", True, False),
        (True, "https://ponte.example", "s", False, False),
        (False, "https://ponte.example", "", False, False),
    ],
)
async def test_a_notice_can_be_turned_off_from_the_mail_program_unless_it_is_urgent(  # noqa: PLR0917
    serve: Callable[..., Controller],
    mailbox: Mailbox,
    clock: FakeClock,
    urgent: Any,
    frontend: Any,
    secret: Any,
    link: Any,
    one_click: Any,
) -> None:
    server = SMTPServer("127.0.0.1", serve().port, Tls.NONE, timeout_seconds=1)
    sender = EmailSender(server, SENDER, frontend, unsubscribe_secret=secret)

    await sender.send(outgoing(clock, urgent=urgent), now=clock.now())

    [mail] = mailbox.taken
    assert (mail["List-Unsubscribe"] is not None) is link
    assert (mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click") is one_click
    body = mail.get_body(("plain",)).get_content()
    assert ("/n/unsubscribe?t=" in body) is link
    if link:
        written = mail["List-Unsubscribe"].strip("<>")
        assert written in body.replace("\r\n", "\n")
        token = written.partition("?t=")[2]
        assert str(read_token(secret, token)) == NOTICE
        assert read_token("another", token) is None
        assert read_token(secret, token[:-1] + ("0" if token[-1] != "0" else "1")) is None


async def test_a_subject_with_emoji_and_a_very_long_line_arrive_whole(
    sender: EmailSender, mailbox: Mailbox, clock: FakeClock
) -> None:
    title = "Reunião 🎉 às 15h " + "ã" * 90
    body = "x" * 1990
    await sender.send(
        outgoing(clock, event="user-notice", context={"title": title, "body": body}),
        now=clock.now(),
    )

    [mail] = mailbox.taken
    assert mail["Subject"] == f"[Ponte] {title}"
    assert body in mail.get_body(("plain",)).get_content()
    assert max(len(line) for line in bytes(mail).split(b"\n")) < 998


async def test_a_domain_of_another_script_is_written_as_mail_servers_take_it(
    sender: EmailSender, mailbox: Mailbox, clock: FakeClock
) -> None:
    await sender.send(outgoing(clock, recipient="ana@café.example"), now=clock.now())

    assert mailbox.taken[0]["To"] == "ana@xn--caf-dma.example"


async def test_an_address_that_few_servers_carry_is_refused_with_the_reason(
    sender: EmailSender, clock: FakeClock
) -> None:
    failure = await refusal(sender, clock, recipient="joão@example.com")

    assert failure.code == "address_invalid"
    assert "SMTPUTF8" in failure.detail
    assert "joão" not in failure.detail
