"""All settings, from the environment and an optional `.env`: the only reader of both.

A field's name is the variable's name in lower case; its description is what an error says was
expected. `.env.example` documents every one. Secrets have no default: `ponte up` makes the ones it
needs (`ponte.generated_secrets`), a deployment sets them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from handoff.silence import SilenceTimes
from ponte import setting_types as kinds
from ticketing.domain.routing.settings import RoutingSettings

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder: relative paths in settings start here, wherever the command runs."""

_PREFIXES = ("PONTE_", "WHATSAPP_", "SMTP_", "TWILIO_", "FCM_", "SLA_", "DLQ_", "NOTIFICATIONS_")
_NOT_SETTINGS = frozenset({"PONTE_ENV_FILE", "PONTE_SPECS_DIR", "PONTE_DATASETS_DIR"})


class SettingsError(Exception):
    """Everything that is missing or wrong, one line each: `NAME: expected ..., got ...`."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"the settings are not complete (see .env.example):\n{lines}")


class Process(StrEnum):
    """The processes, because each needs other settings."""

    UP = "up"
    WEB = "web"
    BOT = "bot"
    ACTIONS = "actions"
    WORKER = "worker"
    SCHEDULER = "scheduler"
    DATABASE_ONLY = "database"
    """Commands that only read or write rows: migrate, agents, handoff explain."""


_WHATSAPP = (
    "whatsapp_app_secret",
    "whatsapp_verify_token",
    "whatsapp_access_token",
    "whatsapp_phone_number_id",
)
_UNSET = SecretStr("")
_SMTP_PORTS = {"starttls": 587, "ssl": 465, "none": 25}  # RFC 8314 and RFC 5321
_DATABASES = ("ponte_database_url", "ponte_redis_url")
_NEEDED: Mapping[Process, tuple[str, ...]] = {
    Process.UP: (),
    Process.WEB: (*_DATABASES, "ponte_bot_url", "ponte_bot_secret", *_WHATSAPP),
    Process.BOT: ("ponte_rasa_database_url", "ponte_bot_secret", "ponte_actions_url"),
    Process.ACTIONS: (*_DATABASES, "ponte_actions_url", "ponte_bot_secret"),
    Process.WORKER: _DATABASES,
    Process.SCHEDULER: (*_DATABASES, "ponte_bot_url", "ponte_bot_secret", *_WHATSAPP),
    Process.DATABASE_ONLY: ("ponte_database_url",),
}


class Settings(BaseModel):
    """Every setting of every process. `Settings.from_environment(process)` makes and checks it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # -- Ponte itself
    ponte_database_url: kinds.PostgresUrl = ""
    ponte_rasa_database_url: kinds.PostgresUrl = ""
    ponte_redis_url: kinds.RedisUrl = ""
    ponte_host: kinds.Host = "127.0.0.1"
    ponte_port: kinds.Port = 8080
    ponte_public_url: kinds.HttpUrl = ""
    ponte_state_dir: Annotated[Path, Field(description="a folder's path")] = Path(".ponte")
    ponte_bot_url: kinds.HttpUrl = ""
    ponte_bot_secret: kinds.Secret = _UNSET
    ponte_actions_url: kinds.HttpUrl = ""
    ponte_allow_public_bind: Annotated[bool, Field(description="true or false")] = False
    ponte_model_key: kinds.PlainSecret = _UNSET
    ponte_session_hours: kinds.Hours = 8.0
    ponte_attachment_max_mb: Annotated[
        int, Field(description="megabytes, from 1 to 24", ge=1, le=24)
    ] = 10
    ponte_log_format: Annotated[
        Literal["console", "json"], Field(description="console or json")
    ] = "console"
    ponte_log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"],
        Field(description="DEBUG, INFO, WARNING or ERROR"),
    ] = "INFO"
    ponte_clock_offset_seconds: Annotated[
        float, Field(description="seconds, also negative", allow_inf_nan=False)
    ] = 0.0
    ponte_simulator: Annotated[bool | None, Field(description="on or off")] = None
    ponte_simulator_url: kinds.HttpUrl = ""
    ponte_instance: Annotated[
        str, Field(description="a name of letters, digits and hyphens", pattern=r"^[A-Za-z0-9-]*$")
    ] = ""
    ponte_bot_unavailable_after_seconds: kinds.PositiveSeconds = 5.0
    ponte_silence_reminder_minutes: kinds.Minutes = 5.0
    ponte_silence_close_minutes: kinds.Minutes = 10.0
    ponte_policy_check_seconds: kinds.PositiveSeconds = 2.0
    ponte_agent_capacity: kinds.Count = 10
    ponte_presence_timeout_seconds: Annotated[
        float, Field(description="seconds, from 30 to 86400", ge=30, le=86400)
    ] = 180.0
    ponte_routing_seconds: kinds.PositiveSeconds = 5.0
    ponte_missed_offer_away: Annotated[bool, Field(description="true or false")] = True
    ponte_routing_exclusion_minutes: kinds.Minutes = 15.0
    ponte_preferred_agent_days: kinds.Count = 30
    ponte_metrics_token: kinds.Secret = _UNSET
    ponte_audit_key: kinds.Keys = ()
    ponte_audit_checkpoint_file: Annotated[Path | None, Field(description="a file's path")] = None
    ponte_privacy_key: kinds.Secret = _UNSET
    ponte_trusted_proxies: kinds.Networks = ()
    # -- WhatsApp Cloud API
    whatsapp_app_secret: kinds.OneOrTwoSecrets = ()
    whatsapp_verify_token: kinds.PlainSecret = _UNSET
    whatsapp_access_token: kinds.PlainSecret = _UNSET
    whatsapp_phone_number_id: kinds.Digits = ""
    whatsapp_api_base_url: kinds.HttpUrl = "https://graph.facebook.com"
    whatsapp_api_version: kinds.GraphVersion = "v25.0"
    whatsapp_reengagement_template: kinds.TemplateName = None
    ponte_unknown_resend_seconds: kinds.PositiveSeconds = 45.0
    # -- the company's own systems
    ponte_orders_url: kinds.HttpUrl = ""
    ponte_orders_file: kinds.ProjectFile = ROOT / "demo" / "orders.json"
    # -- e-mail
    smtp_host: Annotated[str, Field(description="a host name")] = ""
    smtp_port: Annotated[
        int, Field(description="a port number from 1 to 65535", ge=1, le=65535)
    ] = 587
    smtp_user: Annotated[str, Field(description="a user name")] = ""
    smtp_pass: kinds.PlainSecret = _UNSET
    smtp_from: kinds.Mailbox = ""
    smtp_tls: Annotated[
        Literal["starttls", "ssl", "none"], Field(description="starttls, ssl or none")
    ] = "starttls"
    # -- notices
    frontend_url: kinds.HttpUrl = ""
    notifications_admin_user_id: Annotated[
        str, Field(description="an agent's e-mail address or id")
    ] = ""
    notifications_admin_phone: kinds.Phone = ""
    notifications_whatsapp_template: kinds.TemplateName = None
    notifications_backlog_threshold: kinds.Count = 100
    # Five minutes: retries of a passing fault are over by then, and whoever waits for a notice of
    # a new ticket has not missed its first response yet.
    ponte_notifications_oldest_seconds: kinds.PositiveSeconds = 300.0
    twilio_account_sid: kinds.TwilioAccount = ""
    twilio_auth_token: kinds.PlainSecret = _UNSET
    twilio_from: kinds.Phone = ""
    twilio_api_base_url: kinds.HttpUrl = "https://api.twilio.com"
    ponte_sms_max_segments: Annotated[
        int, Field(description="a whole number from 1 to 10", ge=1, le=10)
    ] = 3
    fcm_project_id: Annotated[str, Field(description="a Firebase project id")] = ""
    fcm_service_account_json: kinds.ServiceAccount = _UNSET
    fcm_api_base_url: kinds.HttpUrl = "https://fcm.googleapis.com"
    # -- dead letters
    max_dlq_attempt: kinds.Count = 3
    dlq_audit_file: Annotated[Path | None, Field(description="a file's path")] = None
    dlq_alert_webhook_url: kinds.HttpUrl = ""
    dlq_alert_webhook_secret: kinds.Secret = _UNSET
    # Ten: one mistyped address or two are daily business; ten that wait have one cause.
    ponte_dlq_threshold: kinds.Count = 10
    # Five in ten minutes: a channel that fails loses more, single bad addresses lose fewer.
    ponte_dlq_growth: kinds.Count = 5
    ponte_dlq_growth_minutes: Annotated[
        float, Field(description="minutes, from 1 to 1440", ge=1, le=1440)
    ] = 10.0
    # -- SLA monitor
    sla_monitor_enabled: Annotated[bool, Field(description="true or false")] = True
    sla_monitor_interval_ms: kinds.Milliseconds = 60_000
    sla_monitor_batch: kinds.Batch = 200
    sla_warning_threshold: Annotated[
        float, Field(description="a number between 0 and 1, such as 0.7", gt=0, lt=1)
    ] = 0.7
    sla_alert_cooldown_ms: kinds.Cooldown = 900_000

    @model_validator(mode="before")
    @classmethod
    def _follow_others(cls, given: Any) -> Any:
        """Defaults that depend on other settings."""
        if not isinstance(given, dict):
            return given
        usual = _SMTP_PORTS.get(given.get("smtp_tls", "starttls"), 587)
        host, port = given.get("ponte_host", "127.0.0.1"), given.get("ponte_port", "8080")
        public = given.get("ponte_public_url") or local_url(host, port)
        return {
            "smtp_port": usual,
            "ponte_public_url": public,
            "frontend_url": public,
            **given,
        }

    @classmethod
    def from_environment(
        cls,
        process: Process = Process.UP,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """Read, check and return the settings.

        Args:
            process: Decides which settings must be there.
            environment: Instead of the real environment and `.env` (tests, `ponte up`).

        Raises:
            SettingsError: one message with everything that is missing or wrong.
        """
        raw = read_environment() if environment is None else environment
        given = {
            name: raw[name.upper()]
            for name in cls.model_fields
            # An empty variable counts as not set: `.env.example` is copied with empty values.
            if raw.get(name.upper(), "").strip()
        }
        problems: list[str] = []
        try:
            settings = cls.model_validate(given)
        except ValidationError as error:
            places = dict.fromkeys(str(item["loc"][0]) for item in error.errors())
            wrong = [name for name in places if name in given]  # others only follow these
            problems = [_problem(name, given[name]) for name in wrong]
            # The rest is still checked, so that one message names everything.
            settings = cls.model_validate({k: v for k, v in given.items() if k not in wrong})
        present = set(given)
        needed = list(_NEEDED[process])
        if process is Process.WEB and settings.simulator_on:
            needed.append("ponte_simulator_url")
        absent = [name for name in needed if name not in present]
        problems += [_missing(name) for name in absent]
        problems += settings.unfinished_groups(present | set(absent))
        if problems:
            raise SettingsError(problems)
        return settings

    def unfinished_groups(self, present: set[str]) -> list[str]:
        """Problems of settings that only make sense together; `present` are the ones given."""
        problems = []
        together = [
            ("smtp_user", "smtp_pass"),
            ("twilio_account_sid", "twilio_auth_token", "twilio_from"),
        ]
        if "smtp_host" in present:
            together.append(("smtp_host", "smtp_from"))
        if not self.simulator_on:
            together.append(_WHATSAPP)
        close, reminder = self.ponte_silence_close_minutes, self.ponte_silence_reminder_minutes
        if close <= reminder:
            problems.append(
                f"PONTE_SILENCE_CLOSE_MINUTES: expected more than PONTE_SILENCE_REMINDER_MINUTES "
                f"({reminder:g}), got {close:g}"
            )
        for names in together:
            there = [name for name in names if name in present]
            if there:
                problems += [
                    f"{_missing(name)} (because {there[0].upper()} is set)"
                    for name in names
                    if name not in present
                ]
        return problems

    # -- what processes ask for, with units --------------------------------------------------------

    @property
    def simulator_on(self) -> bool:
        """Whether the simulator stands in for Meta: as set, else when nothing can be sent to Meta.

        Without an access token there is no account to speak for; an app secret or verify token that
        is given all the same is the simulator's.
        """
        if self.ponte_simulator is not None:
            return self.ponte_simulator
        return not self.whatsapp_access_token.get_secret_value()

    @property
    def database_url(self) -> str:
        """`postgresql://` URL of Ponte's database; empty only inside `ponte up`."""
        return self.ponte_database_url

    @property
    def redis_url(self) -> str:
        """URL of Redis; empty only inside `ponte up`."""
        return self.ponte_redis_url

    @property
    def app_secrets(self) -> tuple[str, ...]:
        """The WhatsApp app secrets; a signature by any of them is right."""
        return tuple(secret.get_secret_value() for secret in self.whatsapp_app_secret)

    @property
    def privacy_key(self) -> str:
        """Recognises erased customers; empty: nobody can be erased."""
        return self.ponte_privacy_key.get_secret_value()

    @property
    def audit_keys(self) -> tuple[str, ...]:
        """The keys of the audit log, the newest first; empty: entries wait for a seal."""
        return tuple(secret.get_secret_value() for secret in self.ponte_audit_key)

    @property
    def audit_checkpoint_file(self) -> Path:
        """Absolute path of the file that tells how far the audit log went."""
        named = self.ponte_audit_checkpoint_file
        return self.state_dir / "audit-checkpoints.jsonl" if named is None else ROOT / named

    @property
    def dlq_audit_path(self) -> Path:
        """Absolute path of the file that tells what operators did with dead letters."""
        named = self.dlq_audit_file
        return self.state_dir / "dlq-audit.jsonl" if named is None else ROOT / named

    @property
    def state_dir(self) -> Path:
        """Absolute path of the folder for everything that is made at run time."""
        return (ROOT / self.ponte_state_dir).resolve()

    @property
    def metrics_dir(self) -> Path:
        """Absolute path of the folder that all processes count into (`kit.metrics`)."""
        return self.state_dir / "metrics"

    @property
    def metrics_token(self) -> str:
        """What a reader of /metrics shows; empty: nobody may read it."""
        return self.ponte_metrics_token.get_secret_value()

    @property
    def session_idle(self) -> timedelta:
        """After how long without a request an agent has to log in again."""
        return timedelta(hours=self.ponte_session_hours)

    @property
    def clock_offset(self) -> timedelta:
        """By how much the clock is moved (demonstrations only)."""
        return timedelta(seconds=self.ponte_clock_offset_seconds)

    @property
    def policy_check(self) -> timedelta:
        """How often a process looks whether `handoff.yml` has changed."""
        return timedelta(seconds=self.ponte_policy_check_seconds)

    @property
    def silence_times(self) -> SilenceTimes:
        """When a silent customer is reminded of an open question, and when it ends."""
        reminder = self.ponte_silence_reminder_minutes
        return SilenceTimes(
            timedelta(minutes=reminder) if reminder else None,
            timedelta(minutes=self.ponte_silence_close_minutes),
        )

    @property
    def routing(self) -> RoutingSettings:
        """How the router behaves, apart from what `handoff.yml` says of each queue."""
        return RoutingSettings(
            capacity=self.ponte_agent_capacity,
            preferred_for=timedelta(days=self.ponte_preferred_agent_days),
            excluded_for=timedelta(minutes=self.ponte_routing_exclusion_minutes),
            missed_offer_is_away=self.ponte_missed_offer_away,
            presence_timeout=timedelta(seconds=self.ponte_presence_timeout_seconds),
        )

    @property
    def bot_unavailable_after(self) -> timedelta:
        """After how long without an answer the bot counts as unavailable for a turn."""
        return timedelta(seconds=self.ponte_bot_unavailable_after_seconds)

    @property
    def sla_monitor_interval(self) -> timedelta:
        """How often the SLA clocks are looked at."""
        return timedelta(milliseconds=self.sla_monitor_interval_ms)

    @property
    def sla_alert_cooldown(self) -> timedelta:
        """How long an alert of the same ticket and status is not repeated."""
        return timedelta(milliseconds=self.sla_alert_cooldown_ms)


def read_environment() -> dict[str, str]:
    """The environment over `.env` (PONTE_ENV_FILE names another file; empty: none).

    Values of the file are taken as they are: no `${...}` is put in, a password may hold a dollar.
    """
    real = dict(os.environ)  # noqa: TID251 - this is the one place
    name = real.get("PONTE_ENV_FILE", ".env")
    if not name:
        return real
    path = ROOT / name
    if not path.is_file():
        return real
    from_file = {k: v for k, v in dotenv_values(path, interpolate=False).items() if v is not None}
    return from_file | real


def unknown_names(environment: Mapping[str, str]) -> list[str]:
    """Variables that look like ours and are none: probably misspelt."""
    known = {name.upper() for name in Settings.model_fields}
    return sorted(
        name
        for name in environment
        if name.startswith(_PREFIXES) and name not in known and name not in _NOT_SETTINGS
    )


def local_url(host: str, port: int | str) -> str:
    """How this machine reaches a server that listens on host and port."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not a bind
    shown = f"[{reachable}]" if ":" in reachable else reachable
    return f"http://{shown}:{port}"


def _problem(name: str, value: str) -> str:
    """One line. Values that may be secret are not repeated."""
    shown = "something else" if kinds.is_secret(Settings.model_fields[name]) else repr(value)
    return f"{name.upper()}: expected {_expected(name)}, got {shown}"


def _missing(name: str) -> str:
    return f"{name.upper()}: missing; expected {_expected(name)}"


def _expected(name: str) -> str:
    return Settings.model_fields[name].description or "a value"
