"""The scheduler's jobs about dead letters, built out of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import select

from ponte.processes.scheduler import Parts, _dead_letters
from ponte.settings import Settings
from tests.notifications.conftest import World
from tests.notifications.services.test_reprocess import Dlq
from ticketing.db.notification_tables import DeadLetter, DlqWebhookCall
from ticketing.db.tables import OutboxEvent


async def run_all(world: World, settings: Settings) -> None:
    parts = Parts(settings, world.db, world.queue, world.clock)
    for job in _dead_letters(parts):
        await job.run()


def settings_for(folder: Path, **more: Any) -> Settings:
    return Settings.from_environment(environment={"PONTE_STATE_DIR": str(folder), **more})


async def test_one_round_buries_alerts_and_writes_the_missing_lines(
    world: World, tmp_path: Path
) -> None:
    dlq = Dlq(world)
    await dlq.kill()
    await dlq.reprocess(actor="cli:ana")  # by a program that has no audit file
    await world.make_notification(state="failed")
    await run_all(world, settings_for(tmp_path, PONTE_DLQ_THRESHOLD="1"))
    await run_all(world, settings_for(tmp_path, PONTE_DLQ_THRESHOLD="1"))
    async with world.db.transaction() as session:
        entries = list(await session.scalars(select(DeadLetter)))
        events = list(await session.scalars(select(OutboxEvent)))
    assert sorted(entry.state for entry in entries) == ["dead", "reprocessing"]
    assert [event.topic for event in events] == ["dlq.threshold"]
    lines = (tmp_path / "dlq-audit.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == 1
    assert "cli:ana" in lines[0]


async def test_a_webhook_that_nobody_answers_is_tried_again(world: World, tmp_path: Path) -> None:
    await Dlq(world).kill()
    away = settings_for(
        tmp_path, PONTE_DLQ_THRESHOLD="1", DLQ_ALERT_WEBHOOK_URL="http://127.0.0.1:1/hook"
    )
    await run_all(world, away)
    async with world.db.transaction() as session:
        (call,) = await session.scalars(select(DlqWebhookCall))
    assert (call.state, call.attempts, call.error) == ("pending", 1, "ConnectError")
