"""`python -m demo.stay_up` (`make run`): start Ponte, stay up, print the addresses and a login."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from kit.clock import SystemClock
from ponte.processes.state import StateFolder
from ponte.settings import Settings, SettingsError
from ticketing.db.engine import Database, make_engine
from ticketing.services.agents import AgentExistsError, create_agent

ROOT = Path(__file__).resolve().parent.parent
EMAIL = "admin@ponte.example"


def main() -> int:
    """Run until Ctrl-C."""
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        print(f"run: {error}", file=sys.stderr)
        return 2
    state = StateFolder(settings.state_dir)
    process = subprocess.Popen(
        [sys.executable, "-m", "ponte", "up"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    # Ctrl-C reaches the whole group; `ponte up` stops everything in order and we wait for it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    for line in process.stdout or ():
        print(line, end="", flush=True)
        if line.startswith("ready "):
            announce(line.removeprefix("ready ").strip(), state, settings)
    return process.wait()


def announce(url: str, state: StateFolder, settings: Settings) -> None:
    """Print where everything is, and a login that works."""
    runtime = state.read_runtime()
    login = state.path / "login.json"
    if runtime is not None and not login.exists():
        password = secrets.token_urlsafe(15)
        if asyncio.run(make_admin(runtime.environment["PONTE_DATABASE_URL"], password)):
            descriptor = os.open(login, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"email": EMAIL, "password": password}, file)
    print()
    if settings.simulator_on:
        print(f"  customer (simulator)  {url}/simulator")
    print(f"  agents' console       {url}/console")
    print(f"  API description       {url}/api/docs")
    if login.exists():
        known = json.loads(login.read_text(encoding="utf-8"))
        print(f"  login                 {known['email']}  {known['password']}")
    else:
        print("  login                 yours; add one with: ponte agents add")
    print("\n  Ctrl-C stops everything.", flush=True)


async def make_admin(url: str, password: str) -> bool:
    """Make the first administrator; False when there is one already."""
    db = Database(make_engine(url, pool_size=1))
    try:
        async with db.transaction() as session:
            await create_agent(
                session,
                email=EMAIL,
                name="Administrator",
                password=password,
                role="admin",
                now=SystemClock(timedelta()).now(),
            )
    except AgentExistsError:
        return False
    finally:
        await db.close()
    return True


if __name__ == "__main__":
    sys.exit(main())
