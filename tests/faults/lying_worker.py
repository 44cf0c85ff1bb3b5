"""A worker that lies: it says "sent" of some notices it never sent, and sends some twice.

It takes the place of `ponte worker` to show that the oracle sees both.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notifications.domain.jobs import JobName
from notifications.services.ports import Accepted, Outgoing, Sender
from ponte.processes import worker
from ponte.settings import Process, Settings


@dataclass(slots=True)
class Liar:
    """A sender that keeps every tenth notice to itself, and sends every tenth but one twice."""

    honest: Sender
    _asked: list[None] = field(default_factory=list)

    async def send(self, outgoing: Outgoing, *, now: datetime) -> Accepted:
        """See the class."""
        self._asked.append(None)
        turn = len(self._asked) % 10
        if turn == 0:
            return Accepted(provider_id="never-sent")
        if turn == 1:
            await self.honest.send(outgoing, now=now)
        return await self.honest.send(outgoing, now=now)


def main() -> int:
    """Run the worker with lying senders."""
    honest = worker.make_senders

    def lying(*arguments: Any, **named: Any) -> dict[JobName, Sender]:
        return {name: Liar(one) for name, one in honest(*arguments, **named).items()}

    worker.make_senders = lying
    return worker.run(Settings.from_environment(Process.WORKER))


if __name__ == "__main__":
    sys.exit(main())
