from __future__ import annotations

from pathlib import Path

import pytest

from demo.script import ScriptError, read_conversations

GOOD = """
title: T
shows: s
phone: "+5511912340001"
name: Ana
steps:
  - customer: oi
    expect: {outcome: stay}
"""
REAL = Path(__file__).resolve().parents[2] / "demo" / "conversations"


def write(folder: Path, text: str) -> Path:
    (folder / "01.yml").write_text(text, encoding="utf-8")
    return folder


def test_the_demonstration_has_at_least_eight_conversations() -> None:
    assert len(read_conversations(REAL)) >= 8


def test_every_conversation_has_a_phone_of_its_own() -> None:
    phones = [conversation.phone for conversation in read_conversations(REAL)]

    assert len(set(phones)) == len(phones)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("outcome: stay", "outcome: perhaps"), "steps.0.expect.outcome"),
        (("customer: oi", "custumer: oi"), "steps.0.custumer"),
        (("customer: oi", "customer: oi\n    agent: take"), "exactly one of"),
        (("customer: oi", "agent: reply"), "needs text"),
        (('phone: "+5511912340001"', "phone: 11912340001"), "phone"),
        (("  - customer: oi", "  - customer: [oi"), "01.yml"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(
    tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    folder = write(tmp_path, GOOD.replace(*change))

    with pytest.raises(ScriptError, match=words):
        read_conversations(folder)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="at least one"):
        read_conversations(tmp_path)
