"""F17: two operators press "reprocess" at the same moment."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from notifications.domain.jobs import Channel
from tests.faults.deaths import finished_after
from tests.faults.lab import ROOT, Lab
from tests.faults.measured import Measured
from tests.faults.produce import Wanted, produce
from tests.faults.sizes import Sizes

MAX_REPROCESSES = 3
_DEAD = "SELECT count(*) AS n FROM dead_letters WHERE state = 'dead'"
_COUNTS = """
SELECT reprocess_count AS times, count(*) AS n FROM notifications
WHERE id IN (SELECT notification_id FROM dead_letters) GROUP BY 1
"""
_AUDIT = """
SELECT result, count(*) AS n FROM dlq_reprocess_audit
WHERE dead_letter_id IS NOT NULL AND action = 'reprocess' GROUP BY 1
"""


def two_operators(lab: Lab, sizes: Sizes) -> Measured:
    """F17."""
    count = sizes.dead_letters
    result = Measured("F17", f"{count} dead letters reprocessed twice at the same moment")
    lab.begin(workers=1)
    # 550: refused for good. Nobody would be told by e-mail of a broken e-mail channel.
    lab.behave({"do": "error", "status": 550, "code": 1}, channels=["email"])
    lab.accepted |= produce(lab.database_url, Wanted(count, [Channel.EMAIL]))
    finished_after(lab)()
    dead = lab.sql(_DEAD)[0]["n"]
    lab.behave()
    _forget_refusals(lab)
    answers = _press(lab, times=2)
    finished_after(lab)()
    found = lab.tally()
    result.judge(found, dup=0)
    result.must("all were dead letters", dead >= count, dead)
    # 1: something was refused, for the other operator had it.
    well = all(code in {0, 1} for code, _ in answers)
    result.must("both commands end well", well, "; ".join(said for _, said in answers))
    times = {row["times"]: row["n"] for row in lab.sql(_COUNTS)}
    result.must("reprocessed once each", set(times) == {1} and times[1] >= dead, times)
    audit = {row["result"]: row["n"] for row in lab.sql(_AUDIT)}
    result.must("one audit row each", audit.get("done") == times.get(1), audit)
    _exhaust(lab, result, count)
    return result


def _exhaust(lab: Lab, result: Measured, count: int) -> None:
    """Beyond the allowed number of reprocesses it is refused, and the audit says so."""
    lab.sql(
        "UPDATE notifications SET state = 'failed', reprocess_count = %(most)s, provider_id = NULL",
        most=MAX_REPROCESSES,
    )
    lab.sql(
        "UPDATE dead_letters SET state = 'dead', reprocess_count = %(most)s, closed_at = NULL",
        most=MAX_REPROCESSES,
    )
    before = {row["result"]: row["n"] for row in lab.sql(_AUDIT)}
    _press(lab, times=1)
    after = {row["result"]: row["n"] for row in lab.sql(_AUDIT)}
    new = sum(after.values()) - sum(before.values())
    again = after.get("done", 0) - before.get("done", 0)
    result.must("beyond the limit: refused, with an audit row", new >= count and again == 0, after)


def _forget_refusals(lab: Lab) -> None:
    """The mailboxes exist again: an operator has seen to that."""
    lab.sql("DELETE FROM recipient_addresses")


def _press(lab: Lab, *, times: int) -> list[tuple[int, str]]:
    """The command so many times at once; exit codes and what they say."""
    command = [sys.executable, "-m", "ponte", "dlq", "reprocess"]
    command += ["--limit", "10000", "--rate", "1000", "--yes", "--json"]
    environment = lab.environment() | {"PATH": os.defpath}
    started = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )
        for _ in range(times)
    ]
    answers = []
    for process in started:
        output, errors = process.communicate(timeout=120)
        said = "" if process.returncode in {0, 1} else errors.decode()[-300:]
        answers.append((process.returncode, said or _short(output)))
    return answers


def _short(output: bytes) -> str:
    try:
        told = json.loads(output)
    except ValueError:
        return output.decode()[-200:]
    return ", ".join(f"{k} {told[k]}" for k in ("matched", "done", "discarded") if k in told)
