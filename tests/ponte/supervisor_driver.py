"""A supervisor with the children a test describes, in a process of its own.

Called with the path of a JSON file: {"folder", "patience", "timeout", "children": [{"name", "code",
"stage", "ready_file"}]}. Prints `ready`, then `pid NAME PID` whenever a child was started.
"""

# ruff: noqa: T201, TID251 - a program of the tests: it prints, and hands its environment down

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from ponte.embedded.child import ProcessIdentity
from ponte.processes.supervision import (
    ChildProgram,
    StartFailedError,
    StopRequestedError,
    Supervisor,
)


def main(path: str) -> int:
    wanted = json.loads(Path(path).read_text())
    folder = Path(wanted["folder"])

    def show(children: Mapping[str, ProcessIdentity]) -> None:
        for name, identity in children.items():
            print(f"pid {name} {identity.pid}", flush=True)

    try:
        with Supervisor(
            say=lambda text: print(f"said {text}", flush=True),
            changed=show,
            patience_seconds=wanted["patience"],
        ) as supervisor:
            for child in wanted["children"]:
                supervisor.start(_program(child, folder))
            supervisor.wait_until_ready(timeout_seconds=wanted["timeout"])
            print("ready", flush=True)
            supervisor.watch()
    except StartFailedError as error:
        print(f"failed {error}", flush=True)
        return 1
    except StopRequestedError:
        return 0
    return 0


def _program(child: dict[str, str], folder: Path) -> ChildProgram:
    ready_file = child.get("ready_file")
    return ChildProgram(
        name=child["name"],
        command=[sys.executable, "-u", "-c", child["code"]],
        env={**os.environ, "FOLDER": str(folder)},
        log_path=folder / f"{child['name']}.log",
        cwd=folder,
        ready=(folder / ready_file).exists if ready_file else None,
        stop_stage=int(child.get("stage", 1)),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
