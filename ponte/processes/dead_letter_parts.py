"""Build the parts of dead letters out of the settings; for web, scheduler and the command line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx

from kit.clock import Clock
from notifications.dead_letter_desk import DeadLetterDesk
from notifications.dlq_audit_file import AuditFile
from notifications.domain.jobs import JobName
from notifications.senders.webhook import HttpPost
from notifications.services.dlq_alerts import DlqMonitor
from notifications.services.dlq_webhook import DlqWebhook
from notifications.services.ports import Gate
from notifications.services.reconcile import DeadSet, DlqReconciler
from notifications.services.reprocess import DeadLetterActions
from notifications.shared_state.shared_gate import make_gate
from ponte.settings import Settings
from ticketing.db.engine import Database


@asynccontextmanager
async def breakers(settings: Settings, clock: Clock) -> AsyncIterator[Gate | None]:
    """The breakers as the workers share them; None where no Redis is named."""
    if not settings.redis_url:
        yield None
        return
    gate = make_gate(settings.redis_url, recipient_key=settings.privacy_key, clock=clock)
    try:
        yield gate
    finally:
        await gate.close()


def dead_letter_desk(
    settings: Settings,
    *,
    db: Database,
    clock: Clock,
    gate: Gate | None,
    job_names: frozenset[JobName] | None,
) -> DeadLetterDesk:
    """What operators act with.

    Args:
        settings: The settings.
        db: The database.
        clock: The clock.
        gate: The breakers; None: they are not asked.
        job_names: Job names that have a sender; None: nobody knows here.
    """
    actions = DeadLetterActions(
        db,
        clock,
        max_reprocesses=settings.max_dlq_attempt,
        recipient_key=settings.privacy_key,
        gate=gate,
        job_names=job_names,
        webhook=bool(settings.dlq_alert_webhook_url),
    )
    return DeadLetterDesk(actions, AuditFile(settings.dlq_audit_path))


def dlq_reconciler(
    settings: Settings, *, db: Database, clock: Clock, dead_set: DeadSet | None
) -> DlqReconciler:
    """What compares the dead letters with the notices and with Redis."""
    return DlqReconciler(
        db,
        clock,
        dead_set,
        threshold=settings.max_dlq_attempt,
        recipient_key=settings.privacy_key,
        webhook=bool(settings.dlq_alert_webhook_url),
    )


def dlq_monitor(settings: Settings, *, db: Database, clock: Clock) -> DlqMonitor:
    """What looks at the number of dead letters."""
    return DlqMonitor(
        db,
        clock,
        threshold=settings.ponte_dlq_threshold,
        growth=settings.ponte_dlq_growth,
        window=timedelta(minutes=settings.ponte_dlq_growth_minutes),
        webhook=bool(settings.dlq_alert_webhook_url),
    )


def dlq_webhook(
    settings: Settings,
    *,
    db: Database,
    clock: Clock,
    http: httpx.AsyncClient,
    jitter: Callable[[], float],
) -> DlqWebhook:
    """What calls DLQ_ALERT_WEBHOOK_URL."""
    return DlqWebhook(
        db,
        clock,
        HttpPost(http),
        url=settings.dlq_alert_webhook_url,
        secret=settings.dlq_alert_webhook_secret.get_secret_value(),
        jitter=jitter,
    )
