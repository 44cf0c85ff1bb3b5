"""A stand-in for every provider, in a process of its own; its log is the oracle of the fault tests.

    python -m tests.faults.provider FOLDER

It speaks WhatsApp (Meta), Twilio, FCM, Rasa's turn channel and SMTP, does what it was told to do
(`POST /control`), and writes one line of JSON for every request that it understood, before it
answers: what it took it has in its log, whatever becomes of the answer. Nothing here is Ponte's.

Twilio and FCM are reached as in operation, by `https://api.twilio.com` and
`https://fcm.googleapis.com`: through HTTPS_PROXY, with certificates of an authority made here.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from dataclasses import dataclass
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from tests.faults.asking import CLOCK, Asked, Behaviour, Rule, twilio_sid
from tests.faults.authority import HOSTS, make_authority
from tests.faults.peers import Owners
from tests.faults.provider_mail import Line
from tests.faults.provider_web import Web
from tests.faults.tidings import Teller, Tidings

HANG_SECONDS = 60.0
"""Longer than any time-out of a sender."""

TAKEN = frozenset({"drop", "garbage", "late", "drip"})
"""Rules by which the request is taken all the same."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a request, which is the `times`th with its key."""

    asked: Asked
    times: int
    rule: Rule | None


@dataclass(slots=True)
class Listed:
    """A message as Twilio lists it, from a moment on."""

    fields: dict[str, Any]
    from_second: float


class Provider:
    """State shared by all front ends."""

    def __init__(self, log_path: Path) -> None:
        self._log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.behaviours: dict[str, Behaviour] = {}
        self.seen: dict[str, int] = {}
        self.killable: set[int] = set()
        self._owners = Owners()
        self.list_lag_seconds = 0.0
        """How long after it was taken a message shows up in Twilio's list."""
        self.list_fails = False
        self._listed: list[Listed] = []
        self._draw = random.Random(20261123)  # the same story every time
        self.teller = Teller(self._draw, self.note)

    def control(self, told: dict[str, Any]) -> None:
        """Follow an order: `{"channels": {NAME: {"delay_seconds", "rules"}}, "web": ..., ...}`."""
        for name, changes in told.get("channels", {}).items():
            rules = [Rule(**rule) for rule in changes.get("rules", [])]
            self.behaviours[name] = Behaviour(changes.get("delay_seconds", 0.0), rules)
        if "seed" in told:
            self._draw.seed(told["seed"])
        if "tidings" in told:
            self.teller.tidings = {
                name: Tidings(**changes) for name, changes in told["tidings"].items()
            }
        self.killable = set(told.get("killable", self.killable))
        for name in ("list_lag_seconds", "list_fails"):
            setattr(self, name, told.get(name, getattr(self, name)))
        for name in ("web", "app_secret", "phone_number_id", "twilio_token"):
            setattr(self.teller, name, told.get(name, getattr(self.teller, name)))

    def owner(self, peer_port: int) -> int:
        """The process of ours at the other end of a connection; 0: none of those that may die."""
        return self._owners.of(peer_port, among=self.killable) or 0

    async def judge(self, asked: Asked) -> Verdict:
        """What becomes of a request; what is taken stands in the log before this returns."""
        behaviour = self.behaviours.get(asked.channel, Behaviour())
        times = self.seen[asked.key] = self.seen.get(asked.key, 0) + 1
        rule = self._rule_for(behaviour, asked, times)
        if behaviour.delay_seconds:
            await asyncio.sleep(behaviour.delay_seconds)
        took = rule is None or rule.do in TAKEN
        self._write(asked, "taken" if took else rule.do if rule else "", times, rule)
        if took and asked.channel == "sms":
            shown = asyncio.get_running_loop().time() + self.list_lag_seconds
            self._listed.append(Listed(twilio_message(asked, times), shown))
        if took:
            self.teller.promise(asked, times)
        if rule is not None and rule.do == "kill" and asked.pid:
            os.kill(asked.pid, signal.SIGKILL)
        if rule is not None and rule.do == "hang":
            await asyncio.sleep(HANG_SECONDS)
        return Verdict(asked, times, rule)

    def answered(self, verdict: Verdict) -> None:
        """The answer was written, whole and in time."""
        self.note(verdict.asked.key, "answered", verdict.times)

    def listed_to(self, number: str) -> list[dict[str, Any]]:
        """Twilio's list of what it sent to a number, as far as it shows it already."""
        now = asyncio.get_running_loop().time()
        return [
            one.fields
            for one in self._listed
            if one.fields["to"] == number and one.from_second <= now
        ]

    def note(self, key: str, what: str, times: int) -> None:
        """Beside the requests: `answered`, or `told` (a status was accepted by us)."""
        self._append({"at": CLOCK.now().timestamp(), "key": key, "note": what, "times": times})

    def _write(self, asked: Asked, did: str, times: int, rule: Rule | None) -> None:
        self._append(
            {
                "at": CLOCK.now().timestamp(),
                "channel": asked.channel,
                "key": asked.key,
                "did": did,
                "times": times,
                "to": asked.recipient,
                "pid": asked.pid,
                "status": rule.status if rule is not None and rule.do == "error" else 0,
            }
        )

    def _append(self, line: dict[str, Any]) -> None:
        """One line, whole, at the end of the file: O_APPEND and one write."""
        os.write(self._log, json.dumps(line).encode() + b"\n")

    def _rule_for(self, behaviour: Behaviour, asked: Asked, times: int) -> Rule | None:
        drawn = self._draw.random()
        for rule in behaviour.rules:
            if rule.recipient and rule.recipient != asked.recipient:
                continue
            if rule.first_only and times > 1:
                continue
            if rule.recipient:
                return rule
            if drawn < rule.share:
                return rule
            drawn -= rule.share
        return None


def twilio_message(asked: Asked, times: int) -> dict[str, Any]:
    """A message as Twilio lists it."""
    now = format_datetime(CLOCK.now())
    return {
        "sid": twilio_sid(asked.key, times),
        "to": asked.recipient,
        "body": asked.body,
        "status": "delivered",
        "direction": "outbound-api",
        "date_created": now,
        "date_sent": now,
        "date_updated": now,
        "error_code": None,
        "error_message": None,
    }


async def main(folder: Path) -> None:
    """Serve until SIGTERM."""
    provider = Provider(folder / "provider.jsonl")
    web = Web(provider, make_authority(folder, HOSTS))
    loop = asyncio.get_running_loop()
    http = await asyncio.start_server(web.serve, "127.0.0.1", 0, backlog=1000)
    smtp = await loop.create_server(lambda: Line(provider), "127.0.0.1", 0, backlog=1000)
    ports = {
        "http": http.sockets[0].getsockname()[1],
        "smtp": smtp.sockets[0].getsockname()[1],
    }
    part = folder / "provider.part"
    part.write_text(json.dumps(ports), encoding="utf-8")
    part.replace(folder / "provider.json")
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    telling = asyncio.create_task(provider.teller.run())
    await stop.wait()
    telling.cancel()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
