from __future__ import annotations

from tests.faults.ledger import Call, Row, read_log, tally


def call(key: str, did: str = "taken", *, at: float = 1.0, channel: str = "email") -> Call:
    return Call(at, channel, key, did)


def row(key: str, state: str = "sent", *, dead: str | None = None, told_by: str = "") -> Row:
    return Row(key, state, told_by or key, dead)


def test_a_log_with_everything_once_is_sound() -> None:
    found = tally({"a", "b"}, [row("a"), row("b")], [call("a"), call("b")])

    assert (found.delivered, found.lost, found.dup) == (2, (), 0)


def test_a_notice_that_nobody_took_is_lost_whatever_its_row_says() -> None:
    found = tally({"a", "b"}, [row("a"), row("b", "sent")], [call("a"), call("b", "error")])

    assert found.lost == ("b",)


def test_a_notice_whose_commit_was_seen_and_whose_row_is_gone_is_lost() -> None:
    assert tally({"a"}, [], []).lost == ("a",)


def test_a_dead_letter_needs_a_reason() -> None:
    rows = [row("a", "failed", dead="permanent"), row("b", "failed", dead="")]

    found = tally({"a", "b"}, rows, [])

    assert (found.dead, found.lost) == (1, ("b",))


def test_a_notice_taken_twice_is_doubled_and_told_by_channel() -> None:
    calls = [call("a"), call("a"), call("a"), call("b", channel="sms"), call("b", channel="sms")]

    found = tally({"a", "b"}, [row("a"), row("b")], calls)

    assert found.dup == 3
    assert found.doubled_by_channel == {"email": 2, "sms": 1}


def test_a_notice_told_in_the_words_of_another_is_delivered_with_it() -> None:
    found = tally({"a", "b"}, [row("a"), row("b", told_by="a")], [call("a")])

    assert (found.delivered, found.lost) == (2, ())


def test_an_alert_that_waits_to_be_told_with_others_is_not_lost() -> None:
    held = Row("alert", "pending", "alert", ours=False)

    found = tally({"a"}, [row("a"), held, row("b", "pending")], [call("a")])

    assert (found.held, found.lost) == (1, ("b",))


def test_a_delivery_that_nobody_asked_for_is_seen() -> None:
    assert tally({"a"}, [row("a")], [call("a"), call("x")]).unasked == ("x",)


def test_a_line_that_is_half_written_is_left_out() -> None:
    line = '{"at": 1.0, "channel": "email", "key": "a", "did": "taken", "times": 1, "to": "x"}\n'

    assert [one.key for one in read_log(line + line[:20])] == ["a"]
