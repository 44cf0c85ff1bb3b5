"""What `ponte dlq` prints for people: previews, results, one entry."""

from __future__ import annotations

from notifications.services.dead_letter_views import DeadLetterStory
from notifications.services.dlq_actions import ActionResult
from notifications.services.reprocess_plan import Preview
from ticketing.domain.enums import DlqAction


def plain(text: str) -> str:
    """The text without what steers a terminal: a broken job in Redis may have any name."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def print_preview(preview: Preview) -> None:
    """What an action would do."""
    print(f"{preview.matched} dead letters match; the oldest {preview.looked_at} are looked at")
    verb = "sent again" if preview.action == DlqAction.REPROCESS.value else "discarded"
    print(f"  {preview.would_do} would be {verb}", end="")
    print(f", within {preview.seconds:.0f} s" if preview.seconds else "")
    if preview.would_discard:
        print(f"  {preview.would_discard} were tried as often as may be: would be discarded")
    for reason, count in sorted(preview.refused.items()):
        print(f"  {count} would be refused: {reason}")
    for problem in preview.invalid:
        print(f"    {problem}")
    for name, counts in (
        ("job", preview.by_job),
        ("code", preview.by_code),
        ("age", preview.by_age),
    ):
        if counts:
            shown = ", ".join(f"{plain(key) or '(none)'} {count}" for key, count in counts.items())
            print(f"  by {name}: {shown}")


def print_result(done: ActionResult) -> None:
    """What came of an action."""
    print(f"{done.result}: {done.done} of {done.matched} ({done.action}, action {done.action_id})")
    if done.last_due_at is not None:
        print(f"  the last is due at {done.last_due_at.isoformat(timespec='seconds')}")
    if done.discarded:
        print(f"  {done.discarded} discarded: tried as often as MAX_DLQ_ATTEMPT allows")
    for reason, count in sorted(done.refused.items()):
        print(f"  {count} refused: {reason}")


def print_story(story: DeadLetterStory) -> None:
    """One entry with its notice, its breaker and what operators did."""
    entry = story.entry
    number = "-" if entry.ticket_number is None else str(entry.ticket_number)
    lines = {
        "id": entry.id,
        "state": entry.state,
        "job": f"{entry.job_name or '(no job name)'} from {entry.origin_queue}",
        "event": entry.event or "-",
        "recipient": entry.recipient or "-",
        "ticket": number,
        "reason": entry.reason,
        "error": f"{entry.error_kind} {entry.error_code} (HTTP {entry.http_status or '-'})",
        "detail": entry.detail or "-",
        "attempts": f"{entry.attempts}, reprocessed {entry.reprocess_count} times",
        "failed": f"{entry.failed_at.isoformat()} (first {entry.first_failed_at.isoformat()})",
        "payload": entry.payload_hash,
        "notice": story.notice_state or "-",
    }
    if story.next_attempt_at is not None:
        lines["next"] = story.next_attempt_at.isoformat()
    if story.expires_at is not None:
        lines["expires"] = story.expires_at.isoformat()
    if story.stopped_seconds is not None:
        lines["breaker"] = f"open for {story.stopped_seconds:.0f} s still"
    for name, value in lines.items():
        print(f"{name + ':':<10} {plain(str(value))}")
    for key, value in entry.payload.get("context", {}).items():
        print(f"  {key}: {plain(str(value))}")
    for act in story.acts:
        print(
            f"{act.at.isoformat(timespec='seconds')} {act.actor} {act.action}: {act.result}"
            f" {act.detail}".rstrip()
        )
