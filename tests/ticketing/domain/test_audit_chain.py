"""The chain by itself: every change of a sealed log is found, at the first place it touches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ticketing.domain.audit_chain import (
    PERSONAL,
    AuditKeyError,
    Checkpoint,
    Entry,
    Keys,
    Seal,
    canonical,
    first_fault,
    genuine,
    key_id,
    make_checkpoint,
    seal_all,
    without_personal,
)

KEY, OLD, FOREIGN = b"k" * 32, b"o" * 32, b"f" * 32
KEYS = Keys((KEY, OLD))
Places = list[tuple[Seal, Entry | None]]
AT = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)


def entry(number: int, **more: object) -> Entry:
    whole = {
        "id": f"entry-{number}",
        "at": AT + timedelta(seconds=number),
        "actor": "agent:1",
        "action": "agent.disabled",
        "subject": f"agent:{number}",
        "data": {"n": number},
        "correlation_id": "c0ffee",
    }
    return Entry(**{**whole, **more})  # type: ignore[arg-type]


def chain(length: int, key: bytes = KEY) -> Places:
    entries = [entry(number) for number in range(1, length + 1)]
    return list(zip(seal_all(key, None, entries), entries, strict=True))


def test_a_chain_that_nobody_touched_has_no_fault() -> None:
    assert first_fault(KEYS, chain(20)) is None


def test_a_chain_goes_on_under_a_new_key() -> None:
    first = chain(3, OLD)
    more = [entry(4), entry(5)]
    rest = zip(seal_all(KEY, first[-1][0], more), more, strict=True)

    assert first_fault(KEYS, [*first, *rest]) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", "another"),
        ("at", AT),
        ("actor", "agent:2"),
        ("action", "agent.enabled"),
        ("subject", "agent:none"),
        ("data", {"n": "3"}),
        ("correlation_id", ""),
    ],
)
def test_a_change_of_any_field_is_found_where_it_is(name: str, value: object) -> None:
    places = chain(6)
    places[2] = (places[2][0], replace(places[2][1], **{name: value}))  # type: ignore[type-var]

    fault = first_fault(KEYS, places)

    assert fault is not None
    assert (fault.seq, fault.kind) == (3, "altered")


@pytest.mark.parametrize(
    ("tamper", "seq", "kind"),
    [
        (lambda p: [*p[:2], (p[2][0], None), *p[3:]], 3, "missing"),
        (lambda p: [*p[:2], *p[3:]], 3, "missing"),
        (lambda p: p[1:], 1, "missing"),
        (lambda p: [*p[:1], *p[:1], *p[1:]], 2, "missing"),
        (lambda p: [*p[:1], (replace(p[2][0], seq=2), p[2][1]), *p[2:]], 2, "reordered"),
        (lambda p: [*p[:3], *chain(6, FOREIGN)[3:]], 4, "reordered"),
        (lambda _: chain(6, FOREIGN), 1, "unknown_key"),
        (
            lambda _: [(replace(s, key_id=key_id(KEY)), e) for s, e in chain(6, FOREIGN)],
            1,
            "altered",
        ),
    ],
)
def test_what_an_intruder_without_the_key_can_do_is_found(
    tamper: Callable[[Places], Places], seq: int, kind: str
) -> None:
    fault = first_fault(KEYS, tamper(chain(6)))

    assert fault is not None
    assert (fault.seq, fault.kind) == (seq, kind)


@given(
    length=some.integers(1, 12),
    place=some.integers(0, 11),
    data=some.dictionaries(some.text(max_size=5), some.integers() | some.text(max_size=5)),
)
def test_changed_data_is_always_found(length: int, place: int, data: dict[str, object]) -> None:
    places = chain(length)
    place %= length
    seal, was = places[place]
    assert was is not None
    places[place] = (seal, replace(was, data=data))

    fault = first_fault(KEYS, places)

    assert (fault is None) == (data == was.data)
    assert fault is None or fault.seq == place + 1


def test_the_bytes_of_a_seal_do_not_depend_on_the_order_of_keys_or_the_time_zone() -> None:
    one = entry(1, data={"a": 1, "b": [1, {"y": None, "x": "ã"}]})
    other = replace(
        one,
        data={"b": [1, {"x": "ã", "y": None}], "a": 1},
        at=one.at.astimezone(tz=datetime.fromisoformat("2026-01-01T00:00:00-03:00").tzinfo),
    )

    assert canonical(1, "0", one) == canonical(1, "0", other)


def test_a_checkpoint_cannot_be_made_up_or_changed() -> None:
    seal = chain(3)[-1][0]
    point = make_checkpoint(KEY, seal, at=AT)

    assert genuine(KEYS, point)
    assert not genuine(KEYS, replace(point, seq=2))
    assert not genuine(KEYS, replace(point, at=AT + timedelta(seconds=1)))
    assert not genuine(KEYS, make_checkpoint(FOREIGN, seal, at=AT))
    assert not genuine(KEYS, Checkpoint(3, seal.hash, AT, key_id(KEY), "00"))


def test_without_a_key_nothing_is_sealed() -> None:
    with pytest.raises(AuditKeyError, match="PONTE_AUDIT_KEY"):
        Keys.of(["", ""])


@pytest.mark.parametrize(
    "value",
    [
        "ana@example.com",
        "write to <ana@example.com> please",
        "+5511987654321",
        "11 98765-4321",
        "(11) 98765-4321",
        "wa.me/5511987654321",
    ],
)
def test_what_looks_personal_does_not_get_into_an_entry(value: str) -> None:
    assert without_personal({"a": [value]}) == {"a": [PERSONAL]}


@pytest.mark.parametrize(
    "value",
    [
        "018f3a5e-7c1d-7b3e-9c55-1234567890ab",
        "agent:018f3a5e-7c1d-7b3e-9c55-123456789012",
        "2026-03-10T13:00:00+00:00",
        "n1_support",
        "first_response@v1",
        "N2",
        12345678901,
        True,
        None,
        0.5,
    ],
)
def test_ids_times_and_numbers_stay(value: object) -> None:
    assert without_personal({"a": value}) == {"a": value}
