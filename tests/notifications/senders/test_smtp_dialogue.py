"""What each step of a mail's way may answer, by a server that says just what the script says."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from notifications.domain.failure import Consequence, Failure, FailureKind, SendFailedError
from notifications.senders.smtp_lines import Mail, SMTPLines, SMTPServer, Tls

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MAIL = Mail("ponte@example.com", "ana@example.com", b"Subject: x\r\n\r\nx\r\n")
DROP, HANG = "drop", "hang"
NONE, ALERT, GONE = Consequence.NONE, Consequence.ALERT, Consequence.DISABLE_RECIPIENT
TRANSIENT, PERMANENT = FailureKind.TRANSIENT, FailureKind.PERMANENT
STOP, UNKNOWN = FailureKind.STOP_CHANNEL, FailureKind.UNKNOWN

USUAL = {
    "greeting": "220 hello",
    "EHLO": "250-hello\r\n250-SIZE 1000\r\n250 AUTH PLAIN",
    "HELO": "250 hello",
    "AUTH": "235 2.7.0 ok",
    "MAIL": "250 ok",
    "RCPT": "250 ok",
    "DATA": "354 go on",
    "body": "250 ok",
    "RSET": "250 ok",
    "QUIT": "221 bye",
}


class Script:
    """Answers of one server; `steps` is what it was asked."""

    def __init__(self, **changes: str) -> None:
        self.answers = USUAL | changes
        self.steps: list[str] = []
        self.done = threading.Event()

    def serve(self, line: socket.socket) -> None:
        file = line.makefile("rb")
        if not self._say(line, "greeting"):
            return
        while command := file.readline():
            step = command[:4].decode().upper()
            if not self._say(line, step):
                return
            if step == "DATA" and self.answers["DATA"].startswith("3"):
                while file.readline() not in {b".\r\n", b""}:
                    pass
                if not self._say(line, "body"):
                    return

    def _say(self, line: socket.socket, step: str) -> bool:
        self.steps.append(step)
        answer = self.answers.get(step, "500 what")
        if answer == HANG:
            self.done.wait(5)
        if answer in {HANG, DROP}:
            line.shutdown(socket.SHUT_RDWR)
            return False
        line.sendall(f"{answer}\r\n".encode())
        return True


@contextmanager
def serving(script: Script) -> Iterator[SMTPLines]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            script.serve(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        where = SMTPServer(
            "127.0.0.1", server.server_address[1], Tls.NONE, "u", "p", timeout_seconds=0.3
        )
        yield SMTPLines(where)
        script.done.set()
        server.shutdown()


def failure_of(script: Script) -> Failure:
    with serving(script) as lines, pytest.raises(SendFailedError) as caught:
        lines.hand_over(MAIL, now=NOW)
    return caught.value.failure


@pytest.mark.parametrize(
    ("step", "answer", "kind", "consequence", "code"),
    [
        # Before the mail: whatever is wrong, no notice is to blame.
        ("greeting", "554 5.7.1 not you", STOP, ALERT, "smtp_554_5.7.1"),
        ("greeting", "550 5.1.1 no", STOP, ALERT, "smtp_550_5.1.1"),
        ("greeting", "421 4.3.2 later", TRANSIENT, NONE, "smtp_421_4.3.2"),
        ("greeting", "452 4.2.2 full", TRANSIENT, NONE, "smtp_452_4.2.2"),
        ("greeting", "no SMTP at all", TRANSIENT, NONE, "smtp_-1"),
        ("greeting", "HTTP/1.1 400 Bad Request", TRANSIENT, NONE, "smtp_-1"),
        ("greeting", DROP, TRANSIENT, NONE, "smtp_connection"),
        ("greeting", HANG, TRANSIENT, NONE, "smtp_connection"),
        ("EHLO", "421 later", TRANSIENT, NONE, "smtp_connection"),
        ("EHLO", DROP, TRANSIENT, NONE, "smtp_connection"),
        ("EHLO", "250-hello\r\n250 AUTH GSSAPI", STOP, NONE, "smtp_unsupported"),
        ("EHLO", "250 hello", STOP, NONE, "smtp_unsupported"),
        ("AUTH", "535 5.7.8 no", STOP, NONE, "smtp_535"),
        ("AUTH", "550 no", STOP, NONE, "smtp_550"),
        ("AUTH", "454 4.7.0 later", TRANSIENT, NONE, "smtp_454"),
        ("AUTH", "421 later", TRANSIENT, NONE, "smtp_421"),
        ("AUTH", DROP, TRANSIENT, NONE, "smtp_connection"),
        ("AUTH", HANG, TRANSIENT, NONE, "smtp_connection"),
        # The sender: nothing is said against the recipient.
        ("MAIL", "553 not yours", PERMANENT, ALERT, "smtp_553"),
        ("MAIL", "550 5.1.1 who", PERMANENT, ALERT, "smtp_550_5.1.1"),
        ("MAIL", "552 full", TRANSIENT, NONE, "smtp_552"),
        ("MAIL", "530 5.7.0 log in", STOP, ALERT, "smtp_530_5.7.0"),
        ("MAIL", "451 4.7.1 later", TRANSIENT, NONE, "smtp_451_4.7.1"),
        ("MAIL", "354 what", TRANSIENT, NONE, "smtp_354"),
        ("MAIL", DROP, TRANSIENT, NONE, "smtp_connection"),
        ("MAIL", HANG, TRANSIENT, NONE, "smtp_connection"),
        ("RCPT", "550-5.1.1 no\r\n550 5.1.1 such user", PERMANENT, GONE, "smtp_550_5.1.1"),
        ("RCPT", "450 4.2.0 later", TRANSIENT, NONE, "smtp_450_4.2.0"),
        ("RCPT", "421 later", TRANSIENT, NONE, "smtp_421"),
        ("RCPT", DROP, TRANSIENT, NONE, "smtp_connection"),
        ("DATA", "554 no valid recipients", PERMANENT, NONE, "smtp_554"),
        ("DATA", "451 later", TRANSIENT, NONE, "smtp_451"),
        ("DATA", "250 what", TRANSIENT, NONE, "smtp_250"),
        ("DATA", DROP, TRANSIENT, NONE, "smtp_connection"),
        ("DATA", HANG, TRANSIENT, NONE, "smtp_connection"),
        # The whole message was written: only a clear no means that it was not taken.
        ("body", "554 5.7.1 spam", PERMANENT, ALERT, "smtp_554_5.7.1"),
        ("body", "451 4.3.0 later", TRANSIENT, NONE, "smtp_451_4.3.0"),
        ("body", "421 4.3.2 closing", TRANSIENT, NONE, "smtp_421_4.3.2"),
        ("body", "354 what", UNKNOWN, NONE, "smtp_no_answer"),
        ("body", "250-half", UNKNOWN, NONE, "smtp_no_answer"),
        ("body", "nothing", UNKNOWN, NONE, "smtp_no_answer"),
        ("body", DROP, UNKNOWN, NONE, "smtp_no_answer"),
        ("body", HANG, UNKNOWN, NONE, "smtp_no_answer"),
    ],
)
def test_each_step_says_no_in_its_own_way(
    step: str, answer: str, kind: FailureKind, consequence: Consequence, code: str
) -> None:
    changes = {step: answer}
    if (step, answer[:3]) == ("EHLO", "421"):
        changes["HELO"] = DROP
    failure = failure_of(Script(**changes))

    assert (failure.kind, failure.consequence, failure.code) == (kind, consequence, code)


@pytest.mark.parametrize(
    "changes",
    [
        {"RCPT": "251 will forward"},
        {"RCPT": "252 cannot look it up, but take it"},
        {"MAIL": "251 fine"},
        {"body": "252 perhaps"},
        {"RSET": HANG},
        {"QUIT": HANG},
    ],
)
def test_every_yes_is_a_yes(changes: dict[str, str]) -> None:
    script = Script(**changes)
    with serving(script) as lines:
        lines.hand_over(MAIL, now=NOW)
        lines.close()

    assert script.steps.count("body") == 1


def test_a_server_of_the_old_kind_without_a_login_is_spoken_to() -> None:
    script = Script(EHLO="500 what")
    with serving(script) as lines:
        server = SMTPServer("127.0.0.1", lines.server.port, Tls.NONE, timeout_seconds=0.3)
        SMTPLines(server).hand_over(MAIL, now=NOW)

    assert script.steps[:4] == ["greeting", "EHLO", "HELO", "MAIL"]


def test_at_the_end_every_kept_line_is_ended_with_a_goodbye() -> None:
    script = Script()
    with serving(script) as lines:
        lines.hand_over(MAIL, now=NOW)
        lines.close()
        lines.close()

    assert script.steps[-2:] == ["body", "QUIT"]


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
def test_a_kept_line_that_hangs_is_not_tried_again_on_a_new_one(step: str) -> None:
    script = Script()
    with serving(script) as lines:
        lines.hand_over(MAIL, now=NOW)
        script.answers[step] = HANG
        with pytest.raises(SendFailedError) as caught:
            lines.hand_over(MAIL, now=NOW)

    assert caught.value.failure.kind is TRANSIENT
    assert lines.opened == 1


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "body"])
def test_a_kept_line_that_breaks_before_the_body_takes_a_new_one_and_after_it_nobody_knows(
    step: str,
) -> None:
    script = Script()
    with serving(script) as lines:
        lines.hand_over(MAIL, now=NOW)
        lines._kept[0].smtp.sock.settimeout(0.3)
        script.answers[step] = DROP
        with pytest.raises(SendFailedError) as caught:
            lines.hand_over(MAIL, now=NOW)

    assert lines.opened == (1 if step == "body" else 2)
    assert caught.value.failure.kind is (UNKNOWN if step == "body" else TRANSIENT)
