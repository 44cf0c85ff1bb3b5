"""`python -m demo`: start everything in a state folder of its own, play, compare, stop.

Exit code 0 when every conversation went as its file says, 1 on any difference, 2 when a file is
wrong or the system did not start.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx

from demo.customer import AgentHand, CustomerHand
from demo.observer import Observer
from demo.player import Player, Result
from demo.script import Conversation, ScriptError, read_conversations
from demo.timeline import Timeline
from kit.clock import Clock, SystemClock
from ponte.processes.state import StateFolder
from ticketing.db.engine import Database, make_engine
from ticketing.services.agents import create_agent

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".ponte" / "demo"
AGENT_EMAIL = "ana@demo.example"
ADMIN_PHONE = "+5511990000001"
_TUESDAY, _MORNING = 1, 10


def main() -> int:
    """Run the demonstration."""
    began = time.monotonic()
    try:
        conversations = read_conversations(ROOT / "demo" / "conversations")
    except ScriptError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    offset = offset_to_tuesday(datetime.now(UTC))  # noqa: TID251 - a program's edge
    shutil.rmtree(STATE, ignore_errors=True)
    print("[demo] starting Ponte, with the WhatsApp simulator in the place of Meta")
    process = start(offset)
    try:
        url = wait_until_ready(process)
        if url is None:
            print(f"demo: Ponte did not start; its logs are in {STATE / 'log'}", file=sys.stderr)
            return 2
        started = time.monotonic() - began
        print(f"[demo] ready at {url} after {started:.0f} s; its clock stands on a Tuesday, 10 h")
        results = asyncio.run(play(url, conversations, SystemClock(offset)))
    finally:
        stop(process)
    return summary(results, started=started, total=time.monotonic() - began)


def offset_to_tuesday(now: datetime) -> timedelta:
    """From now to the coming Tuesday, 10:00 in Sao Paulo: the files can rely on business hours."""
    local = now.astimezone(ZoneInfo("America/Sao_Paulo"))
    ahead = (_TUESDAY - local.weekday()) % 7
    target = (local + timedelta(days=ahead)).replace(
        hour=_MORNING, minute=0, second=0, microsecond=0
    )
    return target - local


def start(offset: timedelta) -> subprocess.Popen[str]:
    """`ponte up` as a child of ours."""
    environment = {
        # A `.env` of this checkout is for operation; the demonstration does not read it.
        **{name: value for name, value in os.environ.items() if not _is_setting(name)},  # noqa: TID251 - handed on
        "PONTE_ENV_FILE": "",
        "PONTE_STATE_DIR": str(STATE),
        "PONTE_SIMULATOR": "on",
        "PONTE_CLOCK_OFFSET_SECONDS": str(offset.total_seconds()),
        "NOTIFICATIONS_ADMIN_PHONE": ADMIN_PHONE,
        # Minutes are seconds here: 6 until a silent customer is reminded, 12 until the end.
        "PONTE_SILENCE_REMINDER_MINUTES": "0.1",
        "PONTE_SILENCE_CLOSE_MINUTES": "0.2",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "ponte", "up"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def _is_setting(name: str) -> bool:
    prefixes = ("PONTE_", "WHATSAPP_", "SMTP_", "NOTIFICATIONS_", "TWILIO_", "FCM_", "SLA_")
    return name.startswith(prefixes)


def wait_until_ready(process: subprocess.Popen[str]) -> str | None:
    """The address that `ponte up` prints; None when it ended without."""
    if process.stdout is None:
        return None
    for line in process.stdout:
        if line.startswith("ready "):
            return line.removeprefix("ready ").strip()
        print(line, end="", flush=True)
    return None


def stop(process: subprocess.Popen[str]) -> None:
    """End Ponte and wait for it."""
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def play(url: str, conversations: Sequence[Conversation], clock: Clock) -> list[Result]:
    """Make an agent, then play."""
    runtime = StateFolder(STATE).read_runtime()
    if runtime is None:
        message = "the runtime file is missing"
        raise FileNotFoundError(message)
    db = Database(make_engine(runtime.environment["PONTE_DATABASE_URL"], pool_size=3))
    password = secrets.token_urlsafe(18)
    async with db.transaction() as session:
        await create_agent(
            session,
            email=AGENT_EMAIL,
            name="Ana Souza",
            password=password,
            role="supervisor",
            now=clock.now(),
        )
    async with httpx.AsyncClient(timeout=30.0) as http:
        agent = AgentHand(http, url)
        await agent.log_in(email=AGENT_EMAIL, password=password)
        # The administrator has written to the number lately, as they would in operation: Meta
        # lets a business send free text only within 24 hours of a person's last message.
        await http.post(
            f"{url}/simulator/api/messages",
            json={"from": ADMIN_PHONE, "name": "Admin", "text": "oi"},
        )
        player = Player(clock, Observer(db), CustomerHand(http, url), agent, Timeline())
        results = await player.play(conversations)
    await db.close()
    return results


def summary(results: Sequence[Result], *, started: float, total: float) -> int:
    """Print the summary; the exit code."""
    print()
    failed = [result for result in results if result.problems]
    for result in results:
        mark = "ok  " if not result.problems else "FAIL"
        print(f"  {mark} {result.seconds:6.2f} s  {result.title}")
        for problem in result.problems:
            print(f"                {problem}")
    print(
        f"\n[demo] {len(results) - len(failed)} of {len(results)} conversations as expected; "
        f"start {started:.0f} s, all {total:.0f} s"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
