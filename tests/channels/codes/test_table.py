"""Every code of the references, with the action they name; the page that shows it is fresh."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import structlog

from channels.codes.page import PAGE, page
from channels.codes.rule import (
    Action,
    CodeRule,
    Effect,
    Kind,
    Provider,
    RepeatedCodeError,
    rules_of,
)
from channels.codes.table import TABLE, all_rules, known_rule, rule_for
from kit import metrics
from notifications.domain.failure import Consequence, FailureKind
from notifications.services.provider_failures import failure_for

W, T, F, S = Provider.WHATSAPP, Provider.TWILIO, Provider.FCM, Provider.SMTP
RETRY, LIMIT, NEVER, STOP = Kind.TRANSIENT, Kind.RATE_LIMITED, Kind.PERMANENT, Kind.STOP_CHANNEL
NO, ALERT = Effect.NONE, Effect.ALERT
GONE, STRIKE = Effect.DISABLE_RECIPIENT, Effect.STRIKE_RECIPIENT
QUARTER = timedelta(minutes=15)

DOCUMENTED = [
    (W, "1", RETRY, NO, 2, None),
    (W, "2 131000 131016 133004 131057", RETRY, NO, None, None),
    (W, "4 80007 130429", LIMIT, Effect.SLOW_NUMBER, None, timedelta(seconds=5)),
    (W, "131056", LIMIT, Effect.SLOW_RECIPIENT, None, timedelta(seconds=1)),
    (W, "131053", RETRY, NO, 2, None),
    (W, "134101", RETRY, NO, None, timedelta(minutes=10)),
    (W, "131047 131049 130472 131062", NEVER, NO, 1, None),
    (W, "131026", NEVER, STRIKE, 1, None),
    (W, "131050", NEVER, Effect.OPT_OUT_RECIPIENT, 1, None),
    (W, "130403", NEVER, GONE, 1, None),
    (W, "131030 132015 132016 132068 132069", NEVER, ALERT, 1, None),
    (W, "131021 131008 131009 100 131051 132000 132001 132005", NEVER, ALERT, 1, None),
    (W, "132007 132012 132018 135000 33", NEVER, ALERT, 1, None),
    (W, "0 3 10 190 200 250 299 131005 131045 131037 133010", STOP, ALERT, None, None),
    (W, "368 131031 130497 131042 131048 131064 134011", STOP, ALERT, None, None),
    (T, "20429", LIMIT, Effect.SLOW_NUMBER, None, None),
    (T, "20500 20503", RETRY, NO, None, None),
    (T, "14107 21611 30001", LIMIT, Effect.SLOW_NUMBER, None, timedelta(minutes=1)),
    (T, "30008 30017 30022 30410 30450", RETRY, NO, 3, QUARTER),
    (T, "30023 30027", RETRY, NO, 5, timedelta(hours=6)),
    (T, "30003", RETRY, STRIKE, 2, QUARTER),
    (T, "30004 30007 21618", NEVER, ALERT, 1, None),
    (T, "30005 30006 21211 21214 21217 21614 21612", NEVER, GONE, 1, None),
    (T, "21610", NEVER, Effect.OPT_OUT_RECIPIENT, 1, None),
    (T, "21408 30018 30024 30032 30034 30035 21606 21603", NEVER, ALERT, 1, None),
    (T, "21701 21702 21703 21704 21705 21212", NEVER, ALERT, 1, None),
    (T, "21602 21617 21620 21654 21655 21656 21657 21658", NEVER, ALERT, 1, None),
    (T, "20003 20005 30002 20404", STOP, ALERT, None, None),
    (F, "UNREGISTERED INVALID_ARGUMENT SENDER_ID_MISMATCH", NEVER, GONE, 1, None),
    (F, "INVALID_ARGUMENT:payload", NEVER, ALERT, 1, None),
    (F, "THIRD_PARTY_AUTH_ERROR", STOP, ALERT, None, None),
    (F, "QUOTA_EXCEEDED", LIMIT, Effect.SLOW_NUMBER, None, timedelta(minutes=1)),
    (F, "UNAVAILABLE INTERNAL", RETRY, NO, None, None),
    (F, "DEADLINE_EXCEEDED", Kind.UNKNOWN, NO, None, None),
    (S, "421 450 451 452 452_4.3.1 451_4.7.1 450_4.2.1 499", RETRY, NO, None, None),
    (S, "452_4.2.2 552_5.2.2 552", RETRY, STRIKE, None, timedelta(minutes=30)),
    (S, "550_5.1.1 550_5.1.2 550_5.1.10 550_5.2.1 551 553 554_5.1.1", NEVER, GONE, 1, None),
    (S, "550_5.7.1 554_5.7.26 554_5.7.999 550_5.6.0 552_5.3.4", NEVER, ALERT, 1, None),
    (S, "535 530 538 534 535_5.7.8 530_5.7.0 535_5.7.139", STOP, ALERT, None, None),
    (S, "550 554 571 559_5.9.9", NEVER, NO, 1, None),
]


@pytest.mark.parametrize(("provider", "codes", "kind", "effect", "attempts", "wait"), DOCUMENTED)
def test_a_documented_code_is_in_the_table(  # noqa: PLR0917 - a row of the table
    provider: Provider,
    codes: str,
    kind: Kind,
    effect: Effect,
    attempts: int | None,
    wait: timedelta | None,
) -> None:
    for code in codes.split():
        rule = known_rule(provider, code)
        assert rule is not None, code
        assert (rule.kind, rule.effect) == (kind, effect), code
        assert (rule.attempts, rule.wait) == (attempts, wait), code


def test_every_line_says_what_it_means_and_where_that_is_from() -> None:
    rules = list(all_rules())

    assert len(rules) == sum(len(rules) for rules in TABLE.values()) > 200
    assert all(
        rule.meaning and any(digit in rule.source for digit in "0123456789") for rule in rules
    )


def test_what_is_permanent_is_tried_once_and_has_nothing_to_wait_for() -> None:
    for rule in all_rules():
        if rule.kind is NEVER:
            assert (rule.attempts, rule.wait) == (1, None), rule
        if rule.kind is STOP:
            assert (rule.action, rule.effect) == (Action.STOP_CHANNEL, ALERT), rule


def test_a_code_has_one_line() -> None:
    line = ("1 1", "x", Action.DROP, NEVER, NO, None, 1)

    with pytest.raises(RepeatedCodeError, match="twilio 1"):
        rules_of(T, [line], source="s")


def test_notifications_have_the_same_words() -> None:
    assert {kind.value for kind in Kind} == {kind.value for kind in FailureKind}
    assert {effect.value for effect in Effect} == {one.value for one in Consequence}


@pytest.mark.parametrize(
    ("http_status", "code", "kind", "effect"),
    [
        (429, "x9", LIMIT, Effect.SLOW_NUMBER),
        (500, "x9", RETRY, NO),
        (503, None, RETRY, NO),
        (408, "x9", RETRY, NO),
        (401, "x9", STOP, ALERT),
        (403, None, STOP, ALERT),
        (403, "x9", NEVER, ALERT),
        (400, "x9", NEVER, ALERT),
        (302, None, RETRY, NO),
        (307, None, RETRY, NO),
        (407, None, RETRY, NO),
        (504, None, Kind.UNKNOWN, NO),
        (524, None, Kind.UNKNOWN, NO),
        (409, None, NEVER, ALERT),
        (413, None, NEVER, ALERT),
        (425, None, NEVER, ALERT),
        (200, None, Kind.UNKNOWN, NO),
        (None, "x9", NEVER, NO),
        (None, None, NEVER, NO),
    ],
)
def test_an_unknown_code_has_a_safe_default(
    http_status: int | None, code: str | None, kind: Kind, effect: Effect
) -> None:
    rule = rule_for(T, code, http_status=http_status)

    assert (rule.kind, rule.effect) == (kind, effect)


def test_an_unknown_code_is_counted_each_time_and_logged_once() -> None:
    def counted() -> float:
        name = 'ponte_provider_code_unknown_total{provider="fcm"} '
        lines = metrics.exposition().decode().splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(name)), 0.0)

    before = counted()
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            rule_for("fcm", "NEVER_SEEN_7", http_status=500)
        rule_for("fcm", "a text with +5511987654321 in it", http_status=500)
        rule_for("fcm", None, http_status=500)

    assert counted() == before + 4
    shown = [(line["code"], line["channel"]) for line in logs]
    assert shown == [("NEVER_SEEN_7", "fcm"), ("unreadable", "fcm")]


EXACT = [rule for rule in all_rules() if "*" not in rule.code and not rule.code.endswith("yz")]
"""Without the patterns of mail replies."""


class TestFailures:
    @pytest.mark.parametrize(
        "rule", tuple(all_rules()), ids=lambda rule: f"{rule.provider}-{rule.code}"
    )
    def test_every_line_is_a_failure(self, rule: CodeRule) -> None:
        provider, code = rule.provider, rule.code
        failure = failure_for(provider, code, http_status=400)

        assert failure.kind.value == rule.kind.value
        assert failure.consequence.value == rule.effect.value
        assert failure.detail

    @pytest.mark.parametrize(
        ("asked", "wait", "ours"),
        [
            (None, QUARTER, True),
            (timedelta(seconds=5), QUARTER, True),
            (timedelta(hours=1), timedelta(hours=1), False),
        ],
    )
    def test_the_longer_wait_holds(
        self, asked: timedelta | None, wait: timedelta, ours: bool
    ) -> None:
        failure = failure_for("twilio", "30008", retry_after=asked)

        assert (failure.retry_after, failure.wait_is_ours) == (wait, ours)

    def test_short_waits_of_the_table_leave_room_for_the_exponential_delay(self) -> None:
        failure = failure_for("whatsapp", "130429", http_status=400)

        assert (failure.retry_after, failure.wait_is_ours) == (None, False)

    def test_metas_zero_with_a_server_error_is_a_server_error(self) -> None:
        broken = failure_for("whatsapp", "0", http_status=500)
        refused = failure_for("whatsapp", "0", http_status=400)

        assert (broken.kind, refused.kind) == (FailureKind.TRANSIENT, FailureKind.STOP_CHANNEL)

    def test_what_is_permanent_waits_for_nothing(self) -> None:
        failure = failure_for("twilio", "21610", retry_after=timedelta(seconds=9))

        assert (failure.retry_after, failure.attempts_allowed) == (None, None)

    @pytest.mark.parametrize("code", ["550_5.1.1", "smtp_550_5.1.1"])
    def test_a_mail_reply_keeps_its_name(self, code: str) -> None:
        assert failure_for("smtp", code).code == "smtp_550_5.1.1"

    def test_a_status_report_with_an_unknown_code_is_final(self) -> None:
        failure = failure_for("twilio", "99998", http_status=503, final=True)

        assert failure.kind is FailureKind.PERMANENT


def test_the_page_shows_the_table_as_it_is() -> None:
    shown = (Path(__file__).parents[3] / PAGE).read_text(encoding="utf-8")

    assert shown == page(), "run: python -m channels.codes.page"
