"""`ponte up` with real engines and supervisor, and small programs in place of the real ones."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from ponte.processes import plan, up
from ponte.processes.state import StateFolder
from ponte.processes.supervision import ChildProgram
from ponte.settings import Settings

ANSWERS_EVERYTHING = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *args):
        pass
print(os.environ["PONTE_DATABASE_URL"], flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def program(
    name: str, port: int, state: StateFolder, environment: Mapping[str, str]
) -> ChildProgram:
    return ChildProgram(
        name=name,
        command=[sys.executable, "-c", ANSWERS_EVERYTHING, str(port)],
        env=environment,
        log_path=state.logs / f"{name}.log",
        cwd=Path.cwd(),
        ready=plan.answers(f"http://127.0.0.1:{port}/readyz"),
    )


def programs(
    _settings: Settings,
    state: StateFolder,
    environment: Mapping[str, str],
    addresses: plan.Addresses,
) -> list[ChildProgram]:
    return [program("web", addresses.web, state, environment)]


def bot(
    _settings: Settings,
    state: StateFolder,
    environment: Mapping[str, str],
    addresses: plan.Addresses,
) -> ChildProgram:
    return program("bot", addresses.bot, state, environment)


def main(training: str) -> int:
    what = plan.Plan(
        problem=lambda: None,
        training=lambda: [sys.executable, "-c", training],
        programs=programs,
        bot=bot,
    )
    return up.run(Settings.from_environment(), what=what)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "pass"))
