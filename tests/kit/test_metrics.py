"""Counting in one process and in several, read as Prometheus reads it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kit import metric_slots, metrics

COUNTING = """
import sys
from pathlib import Path
from kit import metric_slots, metrics

sent = metrics.counter("ponte_test_sent_total", "Notices sent.", ("job",))
state = metrics.gauge("ponte_test_state", "A state.")
busy = metrics.gauge("ponte_test_busy", "Sends under way.", mode="sum")
took = metrics.histogram("ponte_test_took_seconds", "How long it took.", buckets=(1, 10))
started = metrics.counter("ponte_test_idle_total", "Never counted.")
slot = metrics.share(Path(sys.argv[1]), sys.argv[2])
print(slot, flush=True)
for line in sys.stdin:
    what, _, number = line.strip().partition(" ")
    if what == "sent":
        sent.labels(job="send-email").inc(float(number))
    elif what == "state":
        state.set(float(number))
    elif what == "busy":
        busy.set(float(number))
    elif what == "took":
        took.observe(float(number))
    elif what == "show":
        sys.stdout.write(metrics.exposition().decode() + "END\\n")
    print("done", flush=True)
"""


class Process:
    """A process that counts as it is told."""

    def __init__(self, folder: Path, name: str) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-c", COUNTING, str(folder), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.slot = self.line()

    def line(self) -> str:
        assert self.child.stdout is not None
        return self.child.stdout.readline().strip()

    def do(self, what: str) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(what + "\n")
        self.child.stdin.flush()
        assert self.line() == "done"

    def show(self) -> str:
        assert self.child.stdin is not None
        self.child.stdin.write("show\n")
        self.child.stdin.flush()
        lines = list(iter(self.line, "END"))
        assert self.line() == "done"
        return "\n".join(lines)

    def kill(self) -> None:
        os.kill(self.child.pid, signal.SIGKILL)
        self.child.wait()


@contextmanager
def counting(folder: Path, *names: str) -> Iterator[list[Process]]:
    processes = [Process(folder, name) for name in names]
    try:
        yield processes
    finally:
        for process in processes:
            process.child.kill()
            process.child.wait()
            assert process.child.stdin is not None
            assert process.child.stdout is not None
            process.child.stdin.close()
            process.child.stdout.close()


def test_several_processes_are_added_up(tmp_path: Path) -> None:
    with counting(tmp_path, "worker", "worker", "web") as (one, other, web):
        one.do("sent 2")
        other.do("sent 3")
        one.do("busy 4")
        other.do("busy 1")
        one.do("took 0.5")
        other.do("took 5")
        one.do("state 2")
        other.do("state 0")
        text = web.show()

    assert (one.slot, other.slot, web.slot) == ("worker-0", "worker-1", "web-0")
    assert 'ponte_test_sent_total{job="send-email"} 5.0' in text
    assert "# HELP ponte_test_sent_total Notices sent." in text
    assert "ponte_test_busy 5.0" in text
    assert "ponte_test_state 0.0" in text  # the word of whoever spoke last
    assert 'ponte_test_took_seconds_bucket{le="1.0"} 1.0' in text
    assert "ponte_test_took_seconds_count 2.0" in text
    assert "ponte_test_idle_total 0.0" in text  # there before anything happened
    assert "pid=" not in text
    assert "_created" not in text


def test_a_killed_process_leaves_its_counts_and_none_of_its_gauges(tmp_path: Path) -> None:
    with counting(tmp_path, "worker", "web") as (worker, web):
        worker.do("sent 7")
        worker.do("busy 3")
        worker.kill()
        text = web.show()

    assert 'ponte_test_sent_total{job="send-email"} 7.0' in text
    assert "ponte_test_busy 0.0" in text  # the web's own


def test_the_next_process_goes_on_in_the_dead_ones_files(tmp_path: Path) -> None:
    for _ in range(3):
        with counting(tmp_path, "worker") as (worker,):
            assert worker.slot == "worker-0"
            worker.do("sent 1")
            worker.do("busy 2")
            worker.kill()
    with counting(tmp_path, "worker") as (worker,):
        text = worker.show()

    assert 'ponte_test_sent_total{job="send-email"} 3.0' in text
    assert "ponte_test_busy 0.0" in text
    assert len(list(tmp_path.glob("counter_*.db"))) == 1


def test_a_damaged_file_is_left_out_and_made_new(tmp_path: Path) -> None:
    with counting(tmp_path, "worker", "web") as (worker, web):
        worker.do("sent 7")
        worker.kill()
        (tmp_path / "counter_worker-0.db").write_bytes(b"\xff\xff\xff\x7f" + b"\xff" * 100)
        assert "worker" not in web.show()
        with counting(tmp_path, "worker") as (again,):
            again.do("sent 1")
            assert 'ponte_test_sent_total{job="send-email"} 1.0' in web.show()


def test_without_a_folder_it_counts_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with counting(tmp_path / "file", "worker") as (worker,):
        worker.do("sent 2")
        assert worker.slot == ""
        assert 'ponte_test_sent_total{job="send-email"} 2.0' in worker.show()


def test_a_start_forgets_what_was_counted(tmp_path: Path) -> None:
    with counting(tmp_path, "worker") as (worker,):
        worker.do("sent 2")
    metric_slots.clear(tmp_path)

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["sent_total", "ponte_sent"])
def test_a_counter_has_a_name_by_the_rules(name: str) -> None:
    with pytest.raises(metrics.MetricNameError, match="expected"):
        metrics.counter(name, "Text.")


def test_a_metric_is_declared_in_one_place() -> None:
    metrics.gauge("ponte_test_declared_once", "Text.")
    with pytest.raises(metrics.MetricDeclaredTwiceError):
        metrics.gauge("ponte_test_declared_once", "Text.")
