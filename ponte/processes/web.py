"""The one public process: webhooks, agents' API and console, and the engines behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import structlog
from sanic import Request, Sanic
from sqlalchemy import text

from channels.whatsapp.client import WhatsAppClient
from handoff.policy_holder import PolicyHolder
from kit.clock import SystemClock
from notifications.api.notification_routes import Production
from notifications.api.pages import notification_pages
from notifications.api.routes import notification_routes
from notifications.dead_letter_desk import DeadLetterDesk
from notifications.domain.jobs import JOB_OF_CHANNEL, JobName
from notifications.policy_file import load_policies
from notifications.services.acknowledgements import NoticeAnswers
from notifications.shared_state.shared_gate import make_gate
from ponte.processes.content_watch import ContentWatch, quality_watch, runbook_watch
from ponte.processes.dead_letter_parts import dead_letter_desk
from ponte.processes.notification_parts import (
    configured_channels,
    failure_notices,
    twilio_webhooks,
)
from ponte.processes.policy_watch import PolicyWatch
from ponte.processes.simulator_proxy import create_blueprint as simulator_blueprint
from ponte.processes.sla_watch import SlaWatch
from ponte.processes.wiring import (
    ROOT,
    configure_process,
    make_clock,
    make_database,
    make_http,
    make_jitter,
    read_policy,
    serve,
    until_done,
)
from ponte.settings import Settings
from ticketing.api.app import Deps, answer_what_is_too_large, create_blueprints
from ticketing.api.health import create_blueprint as health_blueprint
from ticketing.api.metrics import create_blueprint as metrics_blueprint
from ticketing.api.webhooks import WebhookDeps
from ticketing.api.webhooks import create_blueprint as webhook_blueprint
from ticketing.console.app import create_blueprints as console_blueprints
from ticketing.db.engine import Database
from ticketing.domain.quality_file import QualityPlan
from ticketing.domain.reception import BEAT
from ticketing.domain.runbook import RunbookBook
from ticketing.gateways.language_detector import Detector
from ticketing.gateways.rasa_bot import RasaBot
from ticketing.gateways.whatsapp_sender import WhatsAppSender
from ticketing.http.browser import harden_the_rest
from ticketing.http.client_address import client_address
from ticketing.services.availability import Availability
from ticketing.services.delivery_engine import DeliveryEngine
from ticketing.services.inbound_engine import InboundEngine
from ticketing.services.leases import owner_name
from ticketing.services.reception import ReceptionBeat
from ticketing.services.silence import SilenceSweep
from ticketing.services.turn_engine import EngineSettings, TurnEngine
from training.api import training_routes
from training.nlu_files import NluFiles

log = structlog.get_logger()

SWEEP_EVERY = timedelta(seconds=1)


@dataclass(slots=True)
class Engines:
    """What runs behind the web server."""

    inbound: InboundEngine
    turns: TurnEngine
    delivery: DeliveryEngine
    silence: SilenceSweep
    watch: PolicyWatch
    sla: SlaWatch
    runbooks: ContentWatch[RunbookBook]
    quality: ContentWatch[QualityPlan | None]


def run(settings: Settings) -> int:
    """Serve until told to stop."""
    configure_process(settings, "web")
    return serve(make_app(settings), host=settings.ponte_host, port=settings.ponte_port)


def make_app(settings: Settings) -> Sanic[Any, Any]:
    """The app with everything it needs."""
    clock = make_clock(settings)
    db = make_database(settings, pool_size=20)
    http = make_http(most_connections=100)
    engines = make_engines(settings, db, clock, http)
    app: Sanic[Any, Any] = Sanic("ponte-web", configure_logging=False)
    # Meta sends up to 3 MB, a file may be larger; webhooks and API check their own limits.
    app.config.REQUEST_MAX_SIZE = max(4, settings.ponte_attachment_max_mb + 1) * 1024 * 1024
    app.config.FALLBACK_ERROR_FORMAT = "json"
    _note_client_address(app, settings)
    app.blueprint(health_blueprint(_checks(db)))
    app.blueprint(metrics_blueprint(settings.metrics_token))
    app.blueprint(webhook_blueprint(_webhook_deps(settings, clock, engines)))
    twilio = twilio_webhooks(settings, db=db, clock=clock)
    if twilio is not None:
        app.blueprint(twilio.blueprint)
    deps = Deps.from_settings(
        settings,
        db=db,
        clock=clock,
        wake=engines.delivery.wake,
        policy=engines.turns.policies,
        runbooks=engines.runbooks.holder,
        quality=engines.quality.holder,
    )
    harden_the_rest(app, deps=deps)
    answer_what_is_too_large(app)
    dead_letters = _dead_letters(app, settings, db, clock)
    production = Production(load_policies(), configured_channels(settings))
    further = (*training_routes(NluFiles(ROOT)), *notification_routes(dead_letters, production))
    pages = console_blueprints(deps, further=notification_pages(dead_letters))
    for blueprint in (*create_blueprints(deps, further=further), *pages):
        app.blueprint(blueprint)
    if settings.simulator_on:
        app.blueprint(simulator_blueprint(http, base_url=settings.ponte_simulator_url))
    more = () if twilio is None else (("twilio", twilio.sweep),)
    _attach(app, engines, db, http, policy_check=settings.policy_check, more=more)
    return app


def _dead_letters(
    app: Sanic[Any, Any], settings: Settings, db: Database, clock: SystemClock
) -> Callable[[Deps], DeadLetterDesk]:
    gate = make_gate(settings.redis_url, recipient_key=settings.privacy_key, clock=clock)
    channels = configured_channels(settings)
    jobs = frozenset({JobName.NOTIFY_USER, *(JOB_OF_CHANNEL[channel] for channel in channels)})
    desk = dead_letter_desk(settings, db=db, clock=clock, gate=gate, job_names=jobs)

    @app.after_server_stop
    async def stop(_app: Sanic[Any, Any]) -> None:
        await gate.close()

    return lambda _deps: desk


def _note_client_address(app: Sanic[Any, Any], settings: Settings) -> None:
    @app.on_request
    async def note(request: Request[Any, Any]) -> None:
        request.ctx.client_address = client_address(
            request.ip,
            request.headers.get("X-Forwarded-For"),
            trusted=settings.ponte_trusted_proxies,
        )


def make_engines(
    settings: Settings, db: Database, clock: SystemClock, http: httpx.AsyncClient
) -> Engines:
    """The engines, wired to the bot and the channels."""
    loaded = read_policy()
    policies = PolicyHolder(loaded.policy)
    clients: dict[str, WhatsAppClient] = {}

    def client_for(account_id: str) -> WhatsAppClient:
        number = account_id or settings.whatsapp_phone_number_id
        if number not in clients:
            clients[number] = WhatsAppClient(
                http,
                base_url=settings.whatsapp_api_base_url,
                version=settings.whatsapp_api_version,
                phone_number_id=number,
                access_token=settings.whatsapp_access_token.get_secret_value(),
                now=clock.now,
            )
        return clients[number]

    owner = owner_name("web", instance=settings.ponte_instance)
    delivery = DeliveryEngine(
        db=db,
        clock=clock,
        owner=owner,
        senders={
            "whatsapp": WhatsAppSender(
                client_for, reengagement_template=settings.whatsapp_reengagement_template
            )
        },
        jitter=make_jitter(),
        unknown_wait=timedelta(seconds=settings.ponte_unknown_resend_seconds),
    )
    turns = TurnEngine(
        db=db,
        clock=clock,
        bot=RasaBot(
            http,
            base_url=settings.ponte_bot_url,
            secret=settings.ponte_bot_secret.get_secret_value(),
        ),
        detector=Detector(data_dir=ROOT / "data" / "nlu"),
        policies=policies,
        delivery=delivery,
        availability=Availability(db, clock, settings.ponte_agent_capacity),
        settings=EngineSettings(
            owner=owner,
            bot_unavailable_after=timedelta(seconds=settings.ponte_bot_unavailable_after_seconds),
            silence=settings.silence_times,
        ),
    )
    inbound = InboundEngine(
        db=db,
        clock=clock,
        wake_conversation=turns.wake,
        notices=NoticeAnswers(clock, failure_notices(settings)),
        privacy_key=settings.privacy_key,
    )
    watch = PolicyWatch.after(loaded, policies, db=db, clock=clock)
    silence = SilenceSweep(
        db=db,
        clock=clock,
        policy=policies.current,
        times=settings.silence_times,
        wake=delivery.wake_conversation,
        availability=turns.availability,
    )
    sla = SlaWatch.start(db, clock, warning=settings.sla_warning_threshold)
    runbooks = runbook_watch(policies.current)
    return Engines(inbound, turns, delivery, silence, watch, sla, runbooks, quality_watch())


def _webhook_deps(settings: Settings, clock: SystemClock, engines: Engines) -> WebhookDeps:
    return WebhookDeps(
        app_secrets=settings.app_secrets,
        verify_token=settings.whatsapp_verify_token.get_secret_value(),
        clock=clock,
        accept=engines.inbound.accept,
    )


def _checks(
    db: Database,
) -> dict[str, Callable[[], Awaitable[None]]]:
    """What must answer before this process is ready; the bot may be away, messages wait for it."""

    async def database() -> None:
        async with db.transaction() as session:
            await session.execute(text("SELECT 1"))

    return {"database": database}


def _attach(
    app: Sanic[Any, Any],
    engines: Engines,
    db: Database,
    http: httpx.AsyncClient,
    *,
    policy_check: timedelta,
    more: tuple[tuple[str, Callable[[], Awaitable[int]]], ...] = (),
) -> None:
    tasks: list[asyncio.Task[None]] = []

    @app.after_server_start
    async def start(_app: Sanic[Any, Any]) -> None:
        tasks.append(asyncio.create_task(engines.watch.run(every=policy_check)))
        tasks.append(asyncio.create_task(engines.runbooks.run(every=policy_check)))
        tasks.append(asyncio.create_task(engines.quality.run(every=policy_check)))
        tasks.append(asyncio.create_task(engines.sla.run(every=policy_check)))
        tasks.append(asyncio.create_task(until_done("take_back", engines.delivery.take_back)))
        beat = ReceptionBeat(db, engines.delivery.clock)
        tasks.append(asyncio.create_task(_every(BEAT, "reception", beat.run)))
        for name, sweep in (
            ("inbound", engines.inbound.sweep),
            ("turns", engines.turns.sweep),
            ("silence", engines.silence.sweep),
            ("delivery", engines.delivery.sweep),
            *more,
        ):
            tasks.append(asyncio.create_task(_every(SWEEP_EVERY, name, sweep)))

    @app.before_server_stop
    async def stop(_app: Sanic[Any, Any]) -> None:
        for task in tasks:
            task.cancel()
        try:
            # What is under way may end; what does not is found again by the next process.
            async with asyncio.timeout(5):
                await engines.turns.drain()
                await engines.delivery.drain()
        except TimeoutError:
            await engines.turns.close()
        await http.aclose()
        await db.close()


async def _every(interval: timedelta, name: str, sweep: Callable[[], Awaitable[int]]) -> None:
    while True:
        try:
            count = await sweep()
            if count:
                log.info("sweep.found", job_name=name, count=count)
        except Exception:
            log.exception("sweep.failed", job_name=name)
        await asyncio.sleep(interval.total_seconds())
