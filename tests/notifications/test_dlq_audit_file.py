"""The audit file: each line once, whole, by several writers, also when the disk is full."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from notifications.dlq_audit_file import AuditFile, AuditFileError


def record(number: int, **more: Any) -> dict[str, Any]:
    return {"action_id": f"a{number}", "result": "done", "actor": "cli:ana", **more}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_record_is_written_once_however_often_it_is_added(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    assert AuditFile(path).add([record(1), record(2)]) == 2
    assert AuditFile(path).add([record(2), record(3)]) == 1
    assert [line["action_id"] for line in lines(path)] == ["a1", "a2", "a3"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_grows_too_large_is_numbered_and_the_oldest_goes(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    file = AuditFile(path, max_bytes=150, kept=2)
    for number in range(8):
        file.add([record(number)])
    files = sorted(item.name for item in tmp_path.iterdir())
    assert files == ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2", "audit.jsonl.lock"]
    kept = [line["action_id"] for name in (".2", ".1", "") for line in lines(Path(f"{path}{name}"))]
    assert kept == ["a2", "a3", "a4", "a5", "a6", "a7"]
    assert file.add([record(5)]) == 0  # in the file before the present one


def test_half_a_line_of_a_writer_that_died_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text('{"action_id": "a1", "res', "utf-8")
    AuditFile(path).add([record(1)])
    last = path.read_text("utf-8").splitlines()[-1]
    assert json.loads(last)["action_id"] == "a1"


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(AuditFileError, match="No such file or directory"):
        AuditFile(tmp_path / "missing" / "audit.jsonl").add([record(1)])


def test_a_full_disk_is_said_and_nothing_stays_half_written(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    AuditFile(path).add([record(1)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, hard))
    try:
        with pytest.raises(AuditFileError, match="cannot be written"):
            AuditFile(path).add([record(2)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [line["action_id"] for line in lines(path)] == ["a1"]
    assert AuditFile(path).add([record(1), record(2)]) == 1


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.symlink_to("/dev/zero")
    with pytest.raises(AuditFileError, match="expected a regular file"):
        AuditFile(path).add([record(1)])


def test_a_link_to_a_file_is_followed_and_numbered_without_losing_a_line(tmp_path: Path) -> None:
    target, path = tmp_path / "elsewhere.jsonl", tmp_path / "audit.jsonl"
    path.symlink_to(target)
    file = AuditFile(path, max_bytes=150)
    for number in range(5):
        file.add([record(number)])
    found = [
        line["action_id"] for item in tmp_path.glob("audit.json*[0-9l]") for line in lines(item)
    ]
    assert sorted(found) == ["a0", "a1", "a2", "a3", "a4"]


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    program = (
        "import sys; from pathlib import Path; from notifications.dlq_audit_file import AuditFile\n"
        "file = AuditFile(Path(sys.argv[1]), max_bytes=3000, kept=50)\n"
        "for number in range(40):\n"
        "    file.add([{'action_id': f'{sys.argv[2]}-{number}', 'result': 'done'}])\n"
        "    file.add([{'action_id': f'shared-{number}', 'result': 'done'}])\n"
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path), name],
            cwd=Path(__file__).parents[2],
        )
        for name in ("x", "y")
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    found = [
        line["action_id"] for item in tmp_path.glob("audit.jsonl*") if "lock" not in item.name
        for line in lines(item)
    ]  # fmt: skip
    assert len(found) == len(set(found))
    assert {name for name in found if name[0] in "xy"} == {
        f"{name}-{number}" for name in "xy" for number in range(40)
    }
    assert {name for name in found if name.startswith("s")} == {
        f"shared-{number}" for number in range(40)
    }
