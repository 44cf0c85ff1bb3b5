"""Look at every part of an installation and say what is wrong with it, and what to do."""

from __future__ import annotations

import json
import smtplib
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import psycopg
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from ponte import migrate
from ponte.generated_secrets import FILE_NAME
from ponte.processes import plan
from ponte.settings import ROOT, Settings, SettingsError, local_url, unknown_names
from ticketing.db.engine import without_driver
from ticketing.domain.enums import Role

_SECONDS = 5
_START = "start it with `ponte up`"


class State(StrEnum):
    """How a part is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One part looked at.

    Attributes:
        name: The part.
        state: How it is.
        detail: What was seen, in one line.
        hint: What to do about it; empty when nothing.
    """

    name: str
    state: State
    detail: str
    hint: str = ""

    def to_json(self) -> dict[str, Any]:
        """For `ponte doctor --json`."""
        return asdict(self)


def examine(environment: Mapping[str, str]) -> list[Check]:
    """Look at every part; never raises because of one.

    Args:
        environment: The settings, with the addresses of a running `ponte up` if there is one.
    """
    checks = [
        Check(
            "settings",
            State.WARNING,
            f"{name} is no setting of this program",
            "look for a misspelling; .env.example names all settings",
        )
        for name in unknown_names(environment)
    ]
    try:
        settings = Settings.from_environment(environment=environment)
    except SettingsError as error:
        wrong = [Check("settings", State.FAILED, problem) for problem in error.problems]
        return checks + wrong
    checks.append(Check("settings", State.OK, f"state folder {settings.state_dir}"))
    return checks + [check for look in _LOOKS for check in look(settings)]


def _clock(settings: Settings) -> Iterator[Check]:
    if settings.ponte_clock_offset_seconds:
        yield Check(
            "clock",
            State.WARNING,
            f"moved by {settings.ponte_clock_offset_seconds:g} s",
            "for demonstrations only: unset PONTE_CLOCK_OFFSET_SECONDS in operation",
        )


def _secrets(settings: Settings) -> Iterator[Check]:
    path = settings.state_dir / FILE_NAME
    if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield Check("secrets", State.FAILED, f"{path} can be read by others", f"chmod 600 {path}")


def _policy(_settings: Settings) -> Iterator[Check]:
    from handoff.policy_file import PolicyError, load_policy  # noqa: PLC0415 - needs the YAML reader
    from ponte.holiday_dates import holiday_dates  # noqa: PLC0415 - slow to import

    try:
        policy = load_policy(ROOT / "handoff.yml", holiday_dates=holiday_dates)
    except (PolicyError, OSError) as error:
        yield Check("handoff rules", State.FAILED, str(error), "correct handoff.yml")
    else:
        yield Check("handoff rules", State.OK, f"version {policy.version}")


def _model(_settings: Settings) -> Iterator[Check]:
    problem = plan.bot_environment_problem()
    if problem is not None:
        yield Check("bot environment", State.FAILED, problem)
        return
    done = subprocess.run(  # noqa: S603 - our own program
        [*plan.training_command(), "--check"], capture_output=True, text=True, check=False
    )
    said = (done.stdout + done.stderr).strip().splitlines()
    detail = said[-1] if said else f"exit code {done.returncode}"
    if done.returncode == 0:
        yield Check("model", State.OK, detail)
    else:
        yield Check("model", State.FAILED, detail, "train it with `make train`")


def _database(settings: Settings) -> Iterator[Check]:
    if not settings.database_url:
        yield Check("database", State.FAILED, "the embedded one is not running", _START)
        return
    try:
        current, head = migrate.current_revision(settings.database_url), migrate.head_revision()
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        yield Check("database", State.FAILED, reason, "check PONTE_DATABASE_URL and the server")
        return
    if current == head:
        yield Check("database", State.OK, f"schema {current}")
    else:
        detail = f"schema {current or 'none'}, expected {head}"
        yield Check("database", State.FAILED, detail, "run `ponte migrate`")


def _people(settings: Settings) -> Iterator[Check]:
    """Is there an admin, and has somebody each skill that the rules ask for?"""
    from handoff.policy_file import PolicyError, load_policy  # noqa: PLC0415 - needs the YAML reader
    from ponte.holiday_dates import holiday_dates  # noqa: PLC0415 - slow to import
    from ticketing.services.agent_edits import skills_asked_for  # noqa: PLC0415 - only asked here

    if not settings.database_url:
        return
    try:
        policy = load_policy(ROOT / "handoff.yml", holiday_dates=holiday_dates)
        url = without_driver(settings.database_url)
        with psycopg.connect(url, connect_timeout=_SECONDS) as connection:
            rows = connection.execute("SELECT role, skills FROM agents WHERE active").fetchall()
    except (PolicyError, OSError, psycopg.Error):
        return  # the checks of the rules and of the database say why
    if not rows:
        return  # an installation that has only begun
    if all(role != Role.ADMIN.value for role, _ in rows):
        hint = "ponte agents add --role admin, or ponte agents edit --role admin"
        yield Check("people", State.WARNING, "there is no active admin", hint)
    missing = skills_asked_for(policy) - {skill for _, skills in rows for skill in skills}
    if missing:
        detail = f"no active agent has {', '.join(sorted(missing))}, which handoff.yml asks for"
        yield Check("people", State.WARNING, detail, "ponte agents edit EMAIL --skill ...")
    else:
        yield Check("people", State.OK, f"{len(rows)} active, every skill of the rules is there")


def _rasa_database(settings: Settings) -> Iterator[Check]:
    if not settings.ponte_rasa_database_url:
        return
    try:
        with psycopg.connect(settings.ponte_rasa_database_url, connect_timeout=_SECONDS):
            yield Check("bot database", State.OK, "answers")
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[0]
        yield Check("bot database", State.FAILED, reason, "check PONTE_RASA_DATABASE_URL")


def _redis(settings: Settings) -> Iterator[Check]:
    if not settings.redis_url:
        yield Check("redis", State.FAILED, "the embedded one is not running", _START)
        return
    try:
        with Redis.from_url(settings.redis_url, socket_timeout=_SECONDS) as client:
            client.ping()
            policy = client.config_get("maxmemory-policy").get("maxmemory-policy", "noeviction")
    except (RedisError, OSError) as error:
        yield Check("redis", State.FAILED, str(error), "check PONTE_REDIS_URL and the server")
        return
    if policy == "noeviction":
        yield Check("redis", State.OK, "answers")
    else:
        hint = "set maxmemory-policy noeviction: a queue must refuse, never forget"
        yield Check("redis", State.WARNING, f"maxmemory-policy is {policy}", hint)


def _services(settings: Settings) -> Iterator[Check]:
    actions = urlsplit(settings.ponte_actions_url)
    addresses = {
        "web": (
            f"{local_url(settings.ponte_host, settings.ponte_port)}/readyz",
            settings.database_url,
        ),
        "bot": (f"{settings.ponte_bot_url}/webhooks/ponte/", settings.ponte_bot_url),
        "actions": (f"http://{actions.netloc}/health", settings.ponte_actions_url),
    }
    if settings.simulator_on:
        url = f"{settings.ponte_simulator_url}/simulator/healthz"
        addresses["simulator"] = (url, settings.ponte_simulator_url)
    for name, (url, configured) in addresses.items():
        if not configured:
            yield Check(name, State.FAILED, "is not running", _START)
        elif plan.answers(url)():
            yield Check(name, State.OK, f"answers at {url}")
        else:
            yield Check(name, State.FAILED, f"does not answer at {url}", "look at its log")


def _mail(settings: Settings) -> Iterator[Check]:
    if not settings.smtp_host:
        yield Check("e-mail", State.WARNING, "SMTP_HOST is not set: no e-mail is sent")
        return
    kind = smtplib.SMTP_SSL if settings.smtp_tls == "ssl" else smtplib.SMTP
    try:
        with kind(settings.smtp_host, settings.smtp_port, timeout=_SECONDS) as server:
            if settings.smtp_tls == "starttls":
                server.starttls()
            if settings.smtp_user:
                server.login(settings.smtp_user, settings.smtp_pass.get_secret_value())
            server.noop()
    except (OSError, smtplib.SMTPException) as error:
        where = f"{settings.smtp_host}:{settings.smtp_port}"
        yield Check("e-mail", State.FAILED, f"{where}: {error}", "check the SMTP_ settings")
    else:
        yield Check("e-mail", State.OK, f"{settings.smtp_host}:{settings.smtp_port} accepts us")


def _sms(settings: Settings) -> Iterator[Check]:
    """Does Twilio know the account? Nothing is sent."""
    from channels.twilio.client import TwilioCallError, TwilioClient  # noqa: PLC0415 - slow to import

    if not settings.twilio_account_sid:
        detail = "TWILIO_ACCOUNT_SID is not set: no SMS is sent"
        yield Check("SMS", State.WARNING, detail)
        return
    client = TwilioClient(
        account_sid=settings.twilio_account_sid,
        auth_token=settings.twilio_auth_token.get_secret_value(),
        base_url=settings.twilio_api_base_url,
        timeout_seconds=_SECONDS,
    )
    try:
        status = client.account_status()
    except TwilioCallError as error:
        hint = "check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, and whether this machine reaches it"
        yield Check("SMS", State.FAILED, f"{settings.twilio_api_base_url}: {error}", hint)
        return
    finally:
        client.close()
    if status != "active":
        yield Check("SMS", State.FAILED, f"the account is {status}", "look at Twilio's console")
    elif not settings.ponte_public_url.startswith("https://"):
        detail = "the account is active, but PONTE_PUBLIC_URL is no https address"
        hint = "set the address Twilio reaches; it may refuse messages with another one (21609)"
        yield Check("SMS", State.WARNING, detail, hint)
    else:
        yield Check("SMS", State.OK, "the account is active")


def _push(settings: Settings) -> Iterator[Check]:
    """Does Google give an access token? Nothing is sent."""
    from channels.fcm import FcmCallError, FcmClient  # noqa: PLC0415 - slow to import

    if not settings.fcm_project_id:
        yield Check("push", State.WARNING, "FCM_PROJECT_ID is not set: no push is sent")
        return
    account = settings.fcm_service_account_json.get_secret_value()
    client = FcmClient(
        project_id=settings.fcm_project_id,
        service_account=json.loads(account) if account else None,
        base_url=settings.fcm_api_base_url,
        timeout_seconds=_SECONDS,
    )
    try:
        client.access_token()
    except FcmCallError as error:
        hint = "check FCM_SERVICE_ACCOUNT_JSON (empty: application default credentials)"
        yield Check("push", State.FAILED, f"no access token: {error}", hint)
    else:
        yield Check("push", State.OK, f"project {settings.fcm_project_id}: access token granted")
    finally:
        client.close()


_LOOKS: tuple[Callable[[Settings], Iterator[Check]], ...] = (
    _clock,
    _secrets,
    _policy,
    _model,
    _database,
    _people,
    _rasa_database,
    _redis,
    _services,
    _mail,
    _sms,
    _push,
)
