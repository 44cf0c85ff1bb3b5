"""When clocks begin, stand still, are kept, broken or void. Numbers in names: helpdesk cases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.ticketing.domain.sla.worlds import (
    DEFAULT_TARGETS,
    HOUR,
    MINUTE,
    RULES,
    T0,
    K,
    Story,
    by_priority,
    make_rules,
)
from ticketing.domain.enums import ClockState, SlaMetric, SlaThreshold, TicketStatus
from ticketing.domain.sla.clocks import evaluate
from ticketing.domain.sla.explain import explain
from ticketing.domain.sla.history import Happening, History
from ticketing.domain.sla.rules import InForce, Match, SlaPolicy, Target, Timeline

FIRST, NEXT = "first_response", "next_response"
RESOLUTION, TOTAL, LEVEL = "resolution", "total_resolution", "level"
DAY = {"queue": "day"}


class TestFirstResponse:
    def test_runs_from_the_opening_and_is_due_when_the_target_is_used_up(self) -> None:
        clock = Story().clock(FIRST, 30)
        assert clock.state is ClockState.RUNNING
        assert (clock.consumed, clock.target) == (30 * MINUTE, 240 * MINUTE)
        assert (clock.started_at, clock.due_at) == (T0, T0 + 4 * HOUR)
        assert clock.warn_at == T0 + 168 * MINUTE

    def test_is_met_by_a_persons_reply_at_the_time_of_the_reply(self) -> None:
        clock = Story().replied(50).clock(FIRST, 500)
        assert (clock.state, clock.met_at, clock.consumed) == (
            ClockState.MET,
            T0 + 50 * MINUTE,
            50 * MINUTE,
        )

    def test_case_14_nothing_but_a_persons_public_words_meets_it(self) -> None:
        story = Story().tell(5).wrote(10).tell(20, priority="normal")
        assert story.clock(FIRST, 30).state is ClockState.RUNNING

    def test_case_10_a_reply_that_sets_pending_in_one_step_counts(self) -> None:
        clock = Story().replied(10, TicketStatus.PENDING_CUSTOMER).clock(FIRST, 90)
        assert clock.state is ClockState.MET

    @pytest.mark.parametrize("reply_first", [True, False])
    def test_case_10_the_two_steps_at_one_moment_count_in_either_order(
        self, *, reply_first: bool
    ) -> None:
        story = Story()
        if reply_first:
            story.replied(10).pending(10)
        else:
            story.pending(10).tell(10, person_wrote=True)
        clock = story.clock(FIRST, 90)
        assert (clock.state, clock.consumed) == (ClockState.MET, 10 * MINUTE)

    def test_waiting_for_the_customer_does_not_pause_it(self) -> None:
        clock = Story().pending(10).clock(FIRST, 70)
        assert (clock.state, clock.consumed) == (ClockState.RUNNING, 70 * MINUTE)

    def test_waiting_pauses_it_when_the_rules_say_so(self) -> None:
        target = replace(
            DEFAULT_TARGETS[SlaMetric.FIRST_RESPONSE],
            pause_on=frozenset({TicketStatus.PENDING_THIRD_PARTY}),
        )
        rules = make_rules({SlaMetric.FIRST_RESPONSE: target})
        clock = Story().pending(10, "pending_third_party").clock(FIRST, 70, rules=rules)
        assert (clock.state, clock.due_at) == (ClockState.PAUSED, None)
        assert clock.paused_at == T0 + 10 * MINUTE

    def test_is_breached_at_the_due_time_whenever_somebody_looks(self) -> None:
        story = Story(priority="urgent")
        for looked_at in (15, 16, 5_000):
            clock = story.clock(FIRST, looked_at)
            assert clock.state is ClockState.BREACHED
            assert clock.breached_at == clock.due_at == T0 + 15 * MINUTE

    def test_kept_late_it_stays_breached_and_knows_when_it_was_kept(self) -> None:
        clock = Story(priority="urgent").replied(40).clock(FIRST, 50)
        assert clock.state is ClockState.BREACHED
        assert clock.breached_at == T0 + 15 * MINUTE
        assert clock.met_at == clock.ended_at == T0 + 40 * MINUTE
        assert clock.consumed == 40 * MINUTE

    def test_the_due_moment_is_the_first_that_is_late(self) -> None:
        in_time = Story(priority="urgent").replied(14.99).clock(FIRST, 60)
        late = Story(priority="urgent").replied(15).clock(FIRST, 60)
        assert (in_time.state, late.state) == (ClockState.MET, ClockState.BREACHED)

    @pytest.mark.parametrize(
        ("kind", "reason"),
        [
            (K.RESOLVED, "resolved"),
            (K.RETURNED_TO_BOT, "returned_to_bot"),
            (K.CLOSED, "closed"),
            (K.MERGED, "merged"),
        ],
    )
    def test_is_void_when_the_ticket_ends_without_an_answer(self, kind: K, reason: str) -> None:
        clock = Story().tell(20, kind, status=TicketStatus.RESOLVED).clock(FIRST, 500)
        assert (clock.state, clock.reason) == (ClockState.CANCELLED, reason)
        assert (clock.ended_at, clock.met_at) == (T0 + 20 * MINUTE, None)
        assert clock.next_check() is None

    def test_is_kept_by_the_closing_words_of_a_resolution(self) -> None:
        clock = Story().resolved(20, person_wrote=True).clock(FIRST, 30)
        assert (clock.state, clock.met_at) == (ClockState.MET, T0 + 20 * MINUTE)

    def test_void_it_is_due_again_when_the_ticket_is_reopened(self) -> None:
        clock = Story().resolved(20).reopened(100).clock(FIRST, 110)
        assert (clock.state, clock.consumed) == (ClockState.RUNNING, 30 * MINUTE)


class TestNextResponse:
    def test_before_the_first_response_there_is_no_cycle(self) -> None:
        assert (NEXT, 1) not in Story().wrote(5).clocks(10)

    def test_opens_at_the_oldest_unanswered_message_and_ends_with_the_reply(self) -> None:
        story = Story().replied(10).wrote(20).wrote(25).replied(50).wrote(90)
        first, second = story.clock(NEXT, 100), story.clock(NEXT, 100, cycle=2)
        assert (first.started_at, first.met_at) == (T0 + 20 * MINUTE, T0 + 50 * MINUTE)
        assert (second.started_at, second.state) == (T0 + 90 * MINUTE, ClockState.RUNNING)

    def test_closing_words_open_none(self) -> None:
        assert (NEXT, 1) not in Story().replied(10).wrote(20, asks=False).clocks(30)

    def test_case_4_a_delayed_message_is_timed_by_the_customers_provider(self) -> None:
        clock = Story().replied(10).wrote(60, written_at=T0 + 30 * MINUTE).clock(NEXT, 70)
        assert (clock.started_at, clock.consumed) == (T0 + 30 * MINUTE, 40 * MINUTE)

    def test_a_reply_that_could_not_know_of_a_delayed_message_does_not_answer_it(self) -> None:
        story = Story().replied(10).replied(40).wrote(60, written_at=T0 + 30 * MINUTE)
        clock = story.clock(NEXT, 70)
        assert (clock.state, clock.started_at) == (ClockState.RUNNING, T0 + 30 * MINUTE)

    def test_a_message_from_the_future_begins_then_and_has_used_up_nothing(self) -> None:
        clock = Story().replied(10).wrote(20, written_at=T0 + 23 * MINUTE).clock(NEXT, 21)
        assert (clock.consumed, clock.due_at) == (timedelta(), T0 + 263 * MINUTE)

    def test_is_void_when_the_ticket_is_resolved_without_a_word(self) -> None:
        clock = Story().replied(10).wrote(20).resolved(30).clock(NEXT, 40)
        assert (clock.state, clock.reason) == (ClockState.CANCELLED, "resolved")

    def test_of_a_step_with_words_the_words_count_first(self) -> None:
        clock = Story().replied(10).wrote(20).resolved(30, person_wrote=True).clock(NEXT, 40)
        assert clock.state is ClockState.MET


class TestResolution:
    def test_case_11_reopening_goes_on_with_the_total_and_leaves_the_first_kept(self) -> None:
        story = Story().replied(10).resolved(60).reopened(200)
        clocks = story.clocks(230)
        assert clocks[RESOLUTION, 1].state is ClockState.MET
        assert clocks[RESOLUTION, 1].met_at == T0 + 60 * MINUTE
        total = clocks[TOTAL, 1]
        assert (total.state, total.consumed) == (ClockState.RUNNING, 90 * MINUTE)
        assert [stretch.reason for stretch in total.stretches] == [
            "running",
            "resolved",
            "running",
        ]

    def test_the_total_is_kept_by_the_last_resolution(self) -> None:
        story = (
            Story()
            .resolved(60)
            .reopened(200)
            .resolved(260)
            .tell(300, K.CLOSED, status=TicketStatus.CLOSED)
        )
        total = story.clock(TOTAL, 9_999)
        assert (total.state, total.met_at) == (ClockState.MET, T0 + 260 * MINUTE)
        assert total.consumed == 120 * MINUTE

    def test_waiting_for_the_customer_or_a_third_party_pauses_it(self) -> None:
        story = Story().replied(10, TicketStatus.PENDING_CUSTOMER).wrote(100)
        story.pending(130, "pending_third_party")
        clock = story.clock(RESOLUTION, 400)
        assert (clock.state, clock.consumed) == (ClockState.PAUSED, 40 * MINUTE)
        assert (clock.paused_at, clock.due_at) == (T0 + 130 * MINUTE, None)
        assert clock.next_check() is None

    def test_a_pause_ends_when_the_customer_wrote_not_when_it_arrived(self) -> None:
        story = Story().replied(10, TicketStatus.PENDING_CUSTOMER)
        story.wrote(100, written_at=T0 + 70 * MINUTE)
        assert story.clock(RESOLUTION, 100).consumed == 40 * MINUTE

    def test_breached_it_stays_so_while_it_is_paused(self) -> None:
        clock = Story(priority="urgent").pending(300).clock(RESOLUTION, 400)
        assert (clock.state, clock.paused_at) == (ClockState.BREACHED, None)
        assert clock.breached_at == T0 + 240 * MINUTE


class TestLevel:
    def test_each_stay_at_a_level_is_a_cycle_of_its_own(self) -> None:
        story = Story().tell(60, level="N2", queue="risk").tell(90, level="N1")
        clocks = story.clocks(100)
        stays = [clocks[LEVEL, number] for number in (1, 2, 3)]
        assert [stay.state for stay in stays] == [
            ClockState.MET,
            ClockState.MET,
            ClockState.RUNNING,
        ]
        assert [stay.target for stay in stays] == [9 * HOUR, 27 * HOUR, 9 * HOUR]
        assert [stay.consumed for stay in stays] == [60 * MINUTE, 30 * MINUTE, 10 * MINUTE]

    def test_a_move_to_another_queue_of_the_level_is_the_same_stay(self) -> None:
        assert (LEVEL, 2) not in Story().tell(60, queue="day", level="N1").clocks(100)

    def test_a_reopened_ticket_begins_another_stay(self) -> None:
        clocks = Story().resolved(60).reopened(100).clocks(130)
        assert clocks[LEVEL, 1].state is ClockState.MET
        assert (clocks[LEVEL, 2].state, clocks[LEVEL, 2].consumed) == (
            ClockState.RUNNING,
            30 * MINUTE,
        )


class TestChanges:
    def test_case_9_pause_change_of_priority_and_resume_keep_what_was_used_up(self) -> None:
        story = Story().replied(30, TicketStatus.PENDING_CUSTOMER)
        story.tell(60, priority="high").resumed(120)
        clock = story.clock(RESOLUTION, 150)
        assert clock.consumed == 60 * MINUTE
        assert clock.target == 540 * MINUTE
        assert clock.due_at == T0 + 150 * MINUTE + 480 * MINUTE

    def test_a_shorter_target_that_is_used_up_is_breached_at_the_change(self) -> None:
        clock = Story().tell(100, priority="urgent").clock(FIRST, 101)
        assert (clock.state, clock.breached_at) == (ClockState.BREACHED, T0 + 100 * MINUTE)

    def test_a_longer_target_gives_more_time_but_undoes_no_breach(self) -> None:
        more = Story(priority="high").tell(30, priority="low").clock(FIRST, 100)
        assert (more.state, more.due_at) == (ClockState.RUNNING, T0 + 8 * HOUR)
        late = Story(priority="urgent").tell(30, priority="low").clock(FIRST, 100)
        assert (late.state, late.breached_at) == (ClockState.BREACHED, T0 + 15 * MINUTE)
        assert late.target == 15 * MINUTE

    def test_another_queue_counts_in_its_calendar_from_the_change_on(self) -> None:
        # Tuesday 17:00 in Sao Paulo; the office closes at 18:00, risk never does.
        story = Story(T0 + 7 * HOUR, **DAY).tell(120, queue="risk")
        clock = story.clock(FIRST, 180)
        assert clock.consumed == 120 * MINUTE  # one hour of the office, one around the clock
        assert clock.calendar.startswith("always@")
        assert [stretch.worked for stretch in clock.stretches] == [60 * MINUTE, 60 * MINUTE]

    def test_case_16_a_ticket_back_in_its_queue_keeps_its_clock(self) -> None:
        story = Story().tell(10, status=TicketStatus.OPEN).tell(40)
        clock = story.clock(FIRST, 60)
        assert (clock.started_at, clock.consumed) == (T0, 60 * MINUTE)

    def test_rules_that_change_hold_from_then_on_and_recount_nothing(self) -> None:
        old, new = (
            make_rules(),
            make_rules(
                {SlaMetric.FIRST_RESPONSE: Target(by_priority(60, 60, 60, 60), calendar="closed")},
                version="v2",
            ),
        )
        timeline = Timeline((InForce(T0, old), InForce(T0 + 30 * MINUTE, new)))
        story = Story()
        before = story.clock(FIRST, 20, rules=timeline)
        assert (before.policy, before.target) == ("standard@v1", 4 * HOUR)
        after = story.clock(FIRST, 90, rules=timeline)
        assert (after.policy, after.target) == ("standard@v2", HOUR)
        assert (after.consumed, after.due_at) == (30 * MINUTE, None)
        assert after.reason == "calendar_never_opens"

    def test_a_clock_is_void_from_the_moment_on_that_nothing_is_promised(self) -> None:
        vip = SlaPolicy("vip", Match(tags=frozenset({"gold"})), DEFAULT_TARGETS)
        rules = make_rules(None, vip)
        story = Story(tags=frozenset({"gold"})).tell(30, tags=frozenset())
        clock = story.clock(FIRST, 60, rules=rules)
        assert (clock.state, clock.reason) == (ClockState.CANCELLED, "no_target")
        assert clock.ended_at == T0 + 30 * MINUTE
        assert Story().clocks(60, rules) == {}

    def test_the_first_policy_that_fits_holds(self) -> None:
        quick = {SlaMetric.FIRST_RESPONSE: Target(by_priority(5, 5, 5, 5))}
        rules = make_rules(
            None,
            SlaPolicy("vip", Match(vip=True), quick),
            SlaPolicy("acme", Match({"company": frozenset({"Acme"})}), quick),
            SlaPolicy("rest", Match(), DEFAULT_TARGETS),
        )
        policies = [
            Story(**who).clock(FIRST, 1, rules=rules).policy
            for who in ({"vip": True}, {"company": "Acme"}, {"company": "Other"}, {})
        ]
        assert policies == ["vip@v1", "acme@v1", "rest@v1", "rest@v1"]


class TestCalendars:
    """Case 8: a handoff at the edge of the working hours."""

    @pytest.mark.parametrize(
        ("queue", "opened", "minutes", "due"),
        [
            # one second before the office closes; and before lunch
            ("day", "2026-03-10T20:59:59", 15, "2026-03-11T11:14:59"),
            ("day", "2026-03-10T14:59:59", 15, "2026-03-10T16:14:59"),
            ("day", "2026-03-10T21:00:00", 15, "2026-03-11T11:15:00"),
            # Friday evening; the eve of a holiday (Tuesday 21 April)
            ("day", "2026-03-13T20:50:00", 15, "2026-03-16T11:05:00"),
            ("day", "2026-04-20T20:50:00", 15, "2026-04-22T11:05:00"),
            # a night shift, 22:00 to 06:00: just before its end
            ("night", "2026-03-11T08:50:00", 15, "2026-03-12T01:05:00"),
            # the night in which Sao Paulo put its clocks forward: 23:00, an hour is missing
            ("night", "2018-11-03T01:50:00", 15, "2018-11-03T02:05:00"),
        ],
    )
    def test_the_due_time(self, queue: str, opened: str, minutes: int, due: str) -> None:
        rules = make_rules({SlaMetric.FIRST_RESPONSE: Target(by_priority(*[minutes] * 4))})
        start = datetime.fromisoformat(opened).replace(tzinfo=UTC)
        clock = Story(start, queue=queue).clock(FIRST, 0, rules=rules)
        assert clock.due_at == datetime.fromisoformat(due).replace(tzinfo=UTC)

    def test_due_at_closing_time_an_answer_next_morning_is_late(self) -> None:
        rules = make_rules({SlaMetric.FIRST_RESPONSE: Target(by_priority(*[60] * 4))})
        start = datetime(2026, 3, 10, 20, 0, tzinfo=UTC)  # 17:00, due at 18:00
        clock = Story(start, **DAY).replied(900).clock(FIRST, 901, rules=rules)
        assert (clock.state, clock.consumed) == (ClockState.BREACHED, 60 * MINUTE)
        assert clock.breached_at == start + HOUR

    def test_a_calendar_without_an_open_day_gives_no_due_time_and_says_why(self) -> None:
        clock = Story(queue="gone").clock(FIRST, 10_000)
        assert (clock.state, clock.due_at, clock.warn_at) == (ClockState.RUNNING, None, None)
        assert clock.reason == "calendar_never_opens"
        assert clock.next_check() is None
        assert explain(clock)[-1] == "no due time: its calendar has no working hours left"

    def test_a_queue_that_is_gone_counts_in_the_default_calendar(self) -> None:
        rules = make_rules(default_calendar="office")
        clock = Story(queue="never heard of").clock(FIRST, 1, rules=rules)
        assert clock.calendar.startswith("office@")

    def test_a_target_of_years_is_due_in_years(self) -> None:
        years = Target(by_priority(*[525_600] * 4))
        rules = make_rules({SlaMetric.RESOLUTION: years})
        clock = Story(**DAY).clock(RESOLUTION, 1, rules=rules)
        assert clock.due_at is not None
        assert clock.due_at.year == 2029


class TestNextCheck:
    """Case 12: what is there to tell, and when."""

    WARNED = frozenset({SlaThreshold.WARNING})
    TOLD = frozenset(SlaThreshold)

    def test_first_the_warning_then_the_due_time_then_nothing(self) -> None:
        clock = Story().clock(FIRST, 30)
        assert clock.next_check() == T0 + 168 * MINUTE
        assert clock.next_check(self.WARNED) == T0 + 240 * MINUTE
        assert clock.next_check(self.TOLD) is None

    def test_what_was_passed_untold_is_still_to_be_told(self) -> None:
        clock = Story().clock(FIRST, 5_000)
        assert clock.next_check() == T0 + 168 * MINUTE
        assert clock.next_check(self.WARNED) == T0 + 240 * MINUTE

    @pytest.mark.parametrize("end", [lambda story: story.replied(20), lambda s: s.resolved(20)])
    def test_nothing_is_told_of_a_clock_that_is_over(self, end: object) -> None:
        story = Story(priority="urgent")
        end(story)  # type: ignore[operator]
        assert story.clock(FIRST, 30).next_check() is None

    def test_a_policy_may_have_a_threshold_of_its_own(self) -> None:
        target = replace(DEFAULT_TARGETS[SlaMetric.FIRST_RESPONSE], warning=0.5)
        rules = make_rules({SlaMetric.FIRST_RESPONSE: target}, warning=0.9)
        assert Story().clock(FIRST, 0, rules=rules).warn_at == T0 + 2 * HOUR


class TestHistory:
    def test_a_history_without_an_opening_has_no_clocks(self) -> None:
        assert evaluate(History(Story().opened_in, ()), RULES, T0) == ()

    def test_a_time_that_ran_backwards_in_the_log_counts_from_the_entry_before(self) -> None:
        story = Story().pending(50)
        story.happenings.append(
            Happening(K.CHANGED, T0 + 40 * MINUTE, 9, {"status": TicketStatus.OPEN})
        )
        assert story.clock(RESOLUTION, 60).consumed == 60 * MINUTE

    def test_a_present_before_the_last_entry_is_that_of_the_entry(self) -> None:
        assert Story().replied(50).clock(FIRST, 10).met_at == T0 + 50 * MINUTE

    def test_the_explanation_adds_up_to_what_is_used_up(self) -> None:
        story = Story(T0, **DAY).replied(30, TicketStatus.PENDING_CUSTOMER).wrote(90)
        story.tell(100, priority="urgent")
        clock = story.clock(RESOLUTION, 600)
        assert sum((part.worked for part in clock.stretches), timedelta()) == clock.consumed
        lines = explain(clock)
        assert lines[0].startswith("resolution #1 is breached: 6 h of 4 h used")
        assert any("paused: waiting for the customer" in line for line in lines)
        assert len(lines) >= 1 + len(clock.stretches)
