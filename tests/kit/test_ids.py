from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

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


def test_ids_of_one_process_sort_in_the_order_in_which_they_were_made() -> None:
    ids = [new_id() for _ in range(20_000)]

    assert ids == sorted(ids)
    made = ids[0].int >> 80
    assert abs(made - time.time_ns() // 1_000_000) < 10_000


def test_ids_of_several_threads_differ() -> None:
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda _: [new_id() for _ in range(500)], range(8)))

    assert len({one for part in parts for one in part}) == 4_000
    assert all(part == sorted(part) for part in parts)


def test_tokens_have_256_bits() -> None:
    assert len(new_token()) >= 43
    assert len(new_correlation_id()) == 16
