from __future__ import annotations

from pathlib import Path

import pytest

from handoff.policy_file import load_policy
from ponte.processes.content_watch import quality_watch, runbook_watch

ROOT = Path(__file__).resolve().parents[3]
RUNBOOK = """\
runbook: {key}
names: {{pt: "{name}", en: "x", es: "x"}}
replies:
  hi:
    names: {{pt: "Oi", en: "Hi", es: "Hola"}}
    texts: {{pt: "Oi", en: "Hi", es: "Hola"}}
"""


def policy() -> object:
    return load_policy(ROOT / "handoff.yml", holiday_dates=lambda *_: set())


def write(folder: Path, key: str, name: str) -> None:
    (folder / f"{key}.yml").write_text(RUNBOOK.format(key=key, name=name), encoding="utf-8")


def test_changed_added_and_removed_runbooks_come_into_force_at_the_second_look(
    tmp_path: Path,
) -> None:
    write(tmp_path, "one", "Um")
    watch = runbook_watch(policy, folder=tmp_path)  # type: ignore[arg-type]
    assert [item.key for item in watch.holder.current().runbooks] == ["one"]
    assert not watch.check()
    write(tmp_path, "one", "Outro nome")
    write(tmp_path, "two", "Dois")
    assert not watch.check()  # half of a file may be a file too
    assert watch.check()
    assert [item.names["pt"] for item in watch.holder.current().runbooks] == ["Outro nome", "Dois"]
    (tmp_path / "one.yml").unlink()
    assert watch.check_now()
    assert [item.key for item in watch.holder.current().runbooks] == ["two"]


def test_a_wrong_runbook_is_refused_and_what_was_in_force_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "one", "Um")
    watch = runbook_watch(policy, folder=tmp_path)  # type: ignore[arg-type]
    before = watch.holder.current()
    (tmp_path / "one.yml").write_text("runbook: other\n", encoding="utf-8")
    assert not watch.check_now()
    assert watch.holder.current() is before
    write(tmp_path, "one", "Um de novo")
    assert watch.check_now()


def test_a_process_starts_with_a_wrong_runbook_without_it(tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text("nonsense", encoding="utf-8")
    watch = runbook_watch(policy, folder=tmp_path)  # type: ignore[arg-type]
    assert watch.holder.current().runbooks == ()


def test_no_plan_is_none_and_one_that_appears_comes_into_force(tmp_path: Path) -> None:
    file = tmp_path / "quality.yml"
    watch = quality_watch(file=file)
    assert watch.holder.current() is None
    file.write_text((ROOT / "quality.yml").read_text("utf-8"), encoding="utf-8")
    assert watch.check_now()
    assert watch.holder.current() is not None
    file.write_bytes(b"\xff")
    assert not watch.check_now()
    assert watch.holder.current() is not None
