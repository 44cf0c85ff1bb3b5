"""`python -m simulator`: run the simulator in a process of its own."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from sanic import Sanic

from kit.logging import configure_logging
from simulator.app import create_app
from simulator.settings import (
    DEFAULT_PHONE_NUMBER_ID,
    SimulatorSettings,
    SimulatorSettingsError,
    check_host,
)

_EXAMPLE = """example:
  WHATSAPP_APP_SECRET=... WHATSAPP_ACCESS_TOKEN=... python -m simulator --port 8100 \\
    --db .ponte/simulator.db --callback-url http://127.0.0.1:8000/webhooks/whatsapp

secrets come from the environment, never from the command line (which others can read):
  WHATSAPP_APP_SECRET     signs the webhooks (the first, when two are given)
  WHATSAPP_ACCESS_TOKEN   the bearer token that senders must show
  WHATSAPP_VERIFY_TOKEN   for the verification handshake
  WHATSAPP_PHONE_NUMBER_ID  the business number's id (not secret; see --phone-number-id)
"""


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Serve until stopped; 2 when an argument or a secret is missing or wrong."""
    options = _parser().parse_args(arguments)
    try:
        host = check_host(options.host)
        settings = settings_from(options, environment)
    except SimulatorSettingsError as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 2
    configure_logging(process="simulator", json_lines=options.json_logs)
    app = create_app(settings, on_ready=lambda: _say_ready(host, options.port))
    app.prepare(
        host=host,
        port=options.port,
        single_process=True,
        motd=False,
        access_log=False,
        register_sys_signals=True,
    )
    try:
        Sanic.serve_single(app)
    except OSError as error:
        print(f"simulator: port: cannot listen on {host}:{options.port}: {error}", file=sys.stderr)
        return 1
    return 0


def settings_from(options: argparse.Namespace, environment: Mapping[str, str]) -> SimulatorSettings:
    """Settings out of the command line and the environment.

    Raises:
        SimulatorSettingsError: Something is missing or wrong; the text names it.
    """
    names = ("WHATSAPP_APP_SECRET", "WHATSAPP_ACCESS_TOKEN")
    missing = [name for name in names if not environment.get(name, "").strip()]
    if missing:
        message = f"{', '.join(missing)}: expected in the environment"
        raise SimulatorSettingsError(message)
    number_id = options.phone_number_id or environment.get("WHATSAPP_PHONE_NUMBER_ID", "").strip()
    return SimulatorSettings(
        database=options.db,
        callback_url=options.callback_url,
        # The first one of a rotation is the newer.
        app_secret=environment["WHATSAPP_APP_SECRET"].split(",")[0].strip(),
        access_token=environment["WHATSAPP_ACCESS_TOKEN"].strip(),
        verify_token=environment.get("WHATSAPP_VERIFY_TOKEN", "").strip(),
        phone_number_id=number_id or DEFAULT_PHONE_NUMBER_ID,
        display_phone_number=options.display_phone_number.lstrip("+"),
        message_delay=timedelta(milliseconds=options.message_delay_ms),
        delivered_delay=timedelta(milliseconds=options.delivered_delay_ms),
        read_delay=timedelta(milliseconds=options.read_delay_ms),
        window=timedelta(hours=options.window_hours),
        rewrite_numbers=not options.keep_numbers,
        clock_offset=timedelta(seconds=options.clock_offset_seconds),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulator",
        description="A local stand-in for Meta's WhatsApp: Graph API, webhooks, customers.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="loopback address to listen on")
    add("--port", type=int, required=True, help="port to listen on")
    add("--db", type=Path, required=True, help="SQLite file; made when it is not there")
    add("--callback-url", required=True, help="where webhooks go")
    add("--phone-number-id", default="", help="id of the business number")
    add("--display-phone-number", default="551155501234", help="the business number")
    add("--message-delay-ms", type=float, default=0.0, help="from a customer's tap to the webhook")
    add("--delivered-delay-ms", type=float, default=150.0, help="until the status delivered")
    add("--read-delay-ms", type=float, default=600.0, help="until the status read")
    add("--window-hours", type=float, default=24.0, help="the customer service window")
    add("--clock-offset-seconds", type=float, default=0.0, help="move the simulator's clock")
    add("--keep-numbers", action="store_true", help="leave Brazilian numbers as people dial them")
    add("--json-logs", action="store_true", help="logs as JSON lines")
    return parser


def _say_ready(host: str, port: int) -> None:
    print(f"ready http://{host}:{port}/simulator", flush=True)


if __name__ == "__main__":
    # The entry of a process of its own: the one place here that reads the environment.
    sys.exit(main(sys.argv[1:], os.environ))  # noqa: TID251
