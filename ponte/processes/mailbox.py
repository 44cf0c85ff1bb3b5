"""A local mail server for trying Ponte out: `python -m ponte.processes.mailbox`.

Speaks real SMTP on loopback and keeps every mail as a file. It never sends anything anywhere.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from email import message_from_bytes
from email.policy import SMTP as SMTP_POLICY
from pathlib import Path

import structlog
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from kit.ids import new_id
from kit.logging import configure_logging

log = structlog.get_logger()

_MAX_BYTES = 10_000_000


class MailFolder:
    """Stores each mail as `ID.eml`; ids are ordered by time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def handle_DATA(  # noqa: N802 - the name aiosmtpd calls
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Store the mail before it is acknowledged (RFC 5321, 6.1)."""
        mail_id = new_id()
        mail = message_from_bytes(envelope.original_content or b"", policy=SMTP_POLICY)
        mail["X-Envelope-From"] = envelope.mail_from or ""
        mail["X-Envelope-To"] = ", ".join(envelope.rcpt_tos)
        part = self._folder / f"{mail_id}.part"
        part.write_bytes(mail.as_bytes())
        part.rename(part.with_suffix(".eml"))
        log.info("mailbox.stored", message_id=str(mail_id), count=len(envelope.rcpt_tos))
        return f"250 2.0.0 stored as {mail_id}"


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(
        prog="python -m ponte.processes.mailbox",
        description="Keep mails as files instead of sending them.",
        epilog="example: python -m ponte.processes.mailbox --port 2525 --folder .ponte/mailbox",
    )
    parser.add_argument("--port", type=int, required=True, help="port to listen on (loopback)")
    parser.add_argument("--folder", type=Path, required=True, help="where the .eml files go")
    options = parser.parse_args(arguments)
    configure_logging(process="mailbox", json_lines=False)
    # aiosmtpd logs every SMTP command at INFO, with the addresses in it.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    controller = Controller(
        MailFolder(options.folder),
        hostname="127.0.0.1",
        port=options.port,
        data_size_limit=_MAX_BYTES,
    )
    try:
        controller.start()
    except OSError as error:
        sys.stderr.write(f"mailbox: cannot listen on 127.0.0.1:{options.port}: {error}\n")
        return 1
    log.info("mailbox.ready", port=options.port)
    stop.wait()
    controller.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
