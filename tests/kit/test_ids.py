from __future__ import annotations

from kit.ids import new_correlation_id, new_id, new_token


def test_ids_are_version_7_and_differ() -> None:
    ids = {new_id() for _ in range(1000)}

    assert len(ids) == 1000
    assert {one.version for one in ids} == {7}


def test_an_id_made_a_millisecond_later_sorts_later() -> None:
    first = new_id()
    later = new_id()
    while (first.int >> 80) == (later.int >> 80):
        later = new_id()

    assert first < later


def test_tokens_have_256_bits() -> None:
    assert len(new_token()) >= 43
    assert len(new_correlation_id()) == 16
