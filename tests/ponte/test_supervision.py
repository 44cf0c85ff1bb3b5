"""The supervisor, with tiny children, from outside: as a terminal or a service manager sees it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ponte.embedded.child import start_time
from tests.ponte.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
SLEEP = "import time; time.sleep(600)"
STUBBORN = (
    "import signal, time, pathlib; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "pathlib.Path('up').touch(); time.sleep(600)"
)


class Driver:
    """A running `supervisor_driver.py` and what it printed."""

    def __init__(self, folder: Path, description: dict[str, Any]) -> None:
        described = folder / "children.json"
        described.write_text(json.dumps({"folder": str(folder), **description}))
        self._output = folder / "output"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "tests/ponte/supervisor_driver.py"), str(described)],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},  # noqa: TID251 - handed down
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def pids(self, name: str) -> list[int]:
        """Every process id this child had, oldest first."""
        found = re.findall(rf"^pid {name} (\d+)$", self.output, re.MULTILINE)
        return [int(pid) for pid in dict.fromkeys(found)]

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self.output, f"{text!r} in the output")

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Callable[..., Driver]]:
    drivers: list[Driver] = []

    def start(*children: dict[str, Any], patience: float = 5, timeout: float = 20) -> Driver:
        description = {"patience": patience, "timeout": timeout, "children": children}
        drivers.append(Driver(tmp_path, description))
        return drivers[-1]

    yield start
    for driver in drivers:
        driver.end()


def is_gone(pid: int) -> bool:
    return start_time(pid) is None


def test_a_killed_child_is_started_again_and_the_fact_is_said(drive: Callable[..., Driver]) -> None:
    driver = drive({"name": "web", "code": SLEEP}, {"name": "bot", "code": SLEEP})
    driver.wait_for("ready")

    os.kill(driver.pids("web")[0], signal.SIGKILL)

    wait_until(lambda: len(driver.pids("web")) == 2, "a second web process")
    assert "said web ended (killed by SIGKILL): starting it again in 0.2 s" in driver.output
    assert not is_gone(driver.pids("web")[1])
    assert len(driver.pids("bot")) == 1


def test_no_child_survives_when_the_supervisor_is_killed(drive: Callable[..., Driver]) -> None:
    driver = drive(
        {"name": "web", "code": SLEEP}, {"name": "bot", "code": STUBBORN, "ready_file": "up"}
    )
    driver.wait_for("ready")
    pids = driver.pids("web") + driver.pids("bot")

    driver.process.kill()
    driver.process.wait()

    wait_until(lambda: all(is_gone(pid) for pid in pids), "the children's end")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_children_are_stopped_stage_by_stage(
    drive: Callable[..., Driver], tmp_path: Path, how: signal.Signals
) -> None:
    code = (
        "import signal, sys, time, pathlib\n"
        "def end(*_):\n"
        "    time.sleep(0.2)\n"
        "    open('order', 'a').write('{name} ')\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "pathlib.Path('{name}.up').touch()\n"
        "time.sleep(600)"
    )
    names = {"postgres": 3, "worker": 2, "web": 1}
    driver = drive(
        *(
            {"name": n, "code": code.format(name=n), "stage": stage, "ready_file": f"{n}.up"}
            for n, stage in names.items()
        )
    )
    driver.wait_for("ready")

    driver.process.send_signal(how)

    assert driver.process.wait(10) == 0
    assert (tmp_path / "order").read_text() == "web worker postgres "
    assert all(is_gone(driver.pids(name)[0]) for name in names)


def test_a_child_that_does_not_end_is_killed(drive: Callable[..., Driver]) -> None:
    driver = drive({"name": "web", "code": STUBBORN, "ready_file": "up"}, patience=0.3)
    driver.wait_for("ready")

    driver.process.terminate()

    assert driver.process.wait(10) == 0
    assert "said web did not end within 0.3 s: killed" in driver.output
    assert is_gone(driver.pids("web")[0])


def test_a_second_signal_does_not_wait(drive: Callable[..., Driver]) -> None:
    driver = drive({"name": "web", "code": STUBBORN, "ready_file": "up"}, patience=60)
    driver.wait_for("ready")
    driver.process.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        driver.process.wait(0.5)

    driver.process.terminate()

    assert driver.process.wait(10) == 0


def test_a_signal_while_starting_stops_what_was_started(drive: Callable[..., Driver]) -> None:
    driver = drive({"name": "web", "code": SLEEP, "ready_file": "never"})
    wait_until(lambda: driver.pids("web"), "the start of web")

    driver.process.terminate()

    assert driver.process.wait(10) == 0
    assert is_gone(driver.pids("web")[0])


def test_a_program_that_never_comes_up_is_told_with_the_end_of_its_log(
    drive: Callable[..., Driver],
) -> None:
    driver = drive(
        {"name": "web", "code": "raise SystemExit('the port is taken')", "ready_file": "never"},
        {"name": "bot", "code": SLEEP},
    )

    assert driver.process.wait(20) == 1
    assert "failed web ended 5 times: see " in driver.output
    assert "the port is taken" in driver.output
    assert is_gone(driver.pids("bot")[0])


def test_a_program_that_does_not_answer_in_time_is_named(drive: Callable[..., Driver]) -> None:
    driver = drive({"name": "web", "code": SLEEP, "ready_file": "never"}, timeout=0.5)

    assert driver.process.wait(10) == 1
    assert "failed web did not answer within 0 s" in driver.output


def test_what_a_dead_child_left_behind_is_ended(
    drive: Callable[..., Driver], tmp_path: Path
) -> None:
    code = (
        "import subprocess, sys, time\n"
        f"one = subprocess.Popen([sys.executable, '-c', {SLEEP!r}])\n"
        "open('grandchild', 'w').write(str(one.pid))\n"
        "time.sleep(600)"
    )
    driver = drive({"name": "web", "code": code, "ready_file": "grandchild"})
    driver.wait_for("ready")
    wait_until((tmp_path / "grandchild").read_text, "the grandchild's id")
    grandchild = int((tmp_path / "grandchild").read_text())

    os.kill(driver.pids("web")[0], signal.SIGKILL)

    wait_until(lambda: is_gone(grandchild), "the end of the grandchild")
