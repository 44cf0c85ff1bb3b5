"""Settings: what is refused, in which words, and what follows from what."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from ponte.settings import (
    ROOT,
    Process,
    Settings,
    SettingsError,
    local_url,
    read_environment,
    unknown_names,
)

WHATSAPP = {
    "WHATSAPP_APP_SECRET": "app-secret",
    "WHATSAPP_VERIFY_TOKEN": "verify-token",
    "WHATSAPP_ACCESS_TOKEN": "access-token",
    "WHATSAPP_PHONE_NUMBER_ID": "106540352242922",
}
WEB = {
    **WHATSAPP,
    "PONTE_DATABASE_URL": "postgresql://ponte:pw@db/ponte",
    "PONTE_REDIS_URL": "redis://cache:6379/0",
    "PONTE_BOT_URL": "http://bot:5005",
    "PONTE_BOT_SECRET": "0123456789abcdef",
}


def problems(environment: dict[str, str], process: Process = Process.UP) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(process, environment=environment)
    return caught.value.problems


def test_nothing_has_to_be_set_for_trying_it_out() -> None:
    settings = Settings.from_environment(environment={})

    assert settings.simulator_on
    assert settings.ponte_public_url == "http://127.0.0.1:8080"
    assert settings.frontend_url == "http://127.0.0.1:8080"
    assert settings.state_dir == ROOT / ".ponte"
    assert settings.clock_offset == timedelta()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PONTE_PORT", "abc", "a port number from 0 (any free one) to 65535, got 'abc'"),
        ("PONTE_PORT", "65536", "a port number from 0"),
        ("PONTE_PORT", "-1", "a port number from 0"),
        ("PONTE_HOST", "not a host", "an IP address or a host name to listen on"),
        ("PONTE_DATABASE_URL", "mysql://u:hush@h/d", "an address such as postgresql://"),
        ("PONTE_DATABASE_URL", "postgresql://u:hush@h", "an address such as postgresql://"),
        ("PONTE_REDIS_URL", "http://:hush@h", "an address such as redis://"),
        ("PONTE_PUBLIC_URL", "ponte.example", "an address such as https://example.com"),
        ("PONTE_PUBLIC_URL", "http://h:port", "an address such as https://example.com"),
        ("PONTE_BOT_SECRET", "hush", "a random secret of at least 16 characters"),
        ("PONTE_SESSION_HOURS", "25", "hours, more than 0 and at most 24"),
        ("PONTE_LOG_FORMAT", "xml", "console or json"),
        ("PONTE_LOG_LEVEL", "LOUD", "DEBUG, INFO, WARNING or ERROR"),
        ("PONTE_CLOCK_OFFSET_SECONDS", "nan", "seconds, also negative"),
        ("PONTE_SIMULATOR", "perhaps", "on or off"),
        ("PONTE_TRUSTED_PROXIES", "10.0.0.0/8,proxy", "addresses or networks, comma separated"),
        ("PONTE_BOT_UNAVAILABLE_AFTER_SECONDS", "0", "seconds, from 0.1 to 600"),
        ("WHATSAPP_APP_SECRET", "hush,hush2,hush3", "one app secret, or two comma separated"),
        ("WHATSAPP_APP_SECRET", "hush,", "one app secret, or two comma separated"),
        ("WHATSAPP_PHONE_NUMBER_ID", "+5511", "an id of digits only"),
        ("WHATSAPP_API_VERSION", "25", "a Graph API version such as v25.0"),
        ("WHATSAPP_REENGAGEMENT_TEMPLATE", "Olá!", "the name of an approved template"),
        ("SMTP_PORT", "0", "a port number from 1 to 65535"),
        ("SMTP_FROM", "nobody", "an e-mail address"),
        ("SMTP_TLS", "yes", "starttls, ssl or none"),
        ("NOTIFICATIONS_ADMIN_PHONE", "12345", "a phone number in E.164 with 10 to 15 digits"),
        ("NOTIFICATIONS_ADMIN_PHONE", "+0511987654321", "a phone number in E.164"),
        ("TWILIO_ACCOUNT_SID", "AC12", "an account SID: AC and 32 hexadecimal digits"),
        ("FCM_SERVICE_ACCOUNT_JSON", '{"hush": 1}', "a service account's JSON, or the path"),
        ("FCM_SERVICE_ACCOUNT_JSON", "/hush.json", "a service account's JSON, or the path"),
        ("SLA_WARNING_THRESHOLD", "1", "a number between 0 and 1, such as 0.7"),
        ("SLA_MONITOR_ENABLED", "maybe", "true or false"),
        ("SLA_MONITOR_INTERVAL_MS", "10", "milliseconds, from 1000 to 86400000"),
        ("SLA_WARNING_THRESHOLD", "0", "a number between 0 and 1, such as 0.7"),
        ("SLA_WARNING_THRESHOLD", "nan", "a number between 0 and 1, such as 0.7"),
        ("SLA_WARNING_THRESHOLD", "70%", "a number between 0 and 1, such as 0.7"),
        ("SLA_MONITOR_INTERVAL_MS", "1m", "milliseconds, from 1000 to 86400000"),
        ("SLA_MONITOR_BATCH", "0", "a whole number from 1 to 5000"),
        ("SLA_MONITOR_BATCH", "5001", "a whole number from 1 to 5000"),
        ("SLA_ALERT_COOLDOWN_MS", "-1", "milliseconds, from 0 (none) to 86400000"),
        ("SLA_ALERT_COOLDOWN_MS", "86400001", "milliseconds, from 0 (none) to 86400000"),
        ("NOTIFICATIONS_ADMIN_PHONE", "+551198765", "a phone number in E.164"),
        ("NOTIFICATIONS_ADMIN_PHONE", "+5511987654321000", "a phone number in E.164"),
        ("MAX_DLQ_ATTEMPT", "0", "a whole number, at least 1"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(
    name: str, value: str, expected: str
) -> None:
    found = [line for line in problems({name: value}) if "missing" not in line]

    assert len(found) == 1
    assert found[0].startswith(f"{name}: expected {expected}")
    assert "hush" not in found[0]


def test_one_message_names_everything_that_is_missing_or_wrong() -> None:
    found = problems({"PONTE_PORT": "x", "SMTP_USER": "ana"}, Process.WEB)

    assert {line.split(":")[0] for line in found} == {
        "PONTE_PORT",
        "SMTP_PASS",
        "PONTE_SIMULATOR_URL",
        *WEB,
    }


def test_the_web_process_is_content_with_all_of_its_settings() -> None:
    settings = Settings.from_environment(Process.WEB, environment=WEB)

    assert not settings.simulator_on
    assert settings.app_secrets == ("app-secret",)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"WHATSAPP_ACCESS_TOKEN": "t"}, "WHATSAPP_APP_SECRET"),
        ({"SMTP_HOST": "mail.example.com"}, "SMTP_FROM"),
        ({"SMTP_PASS": "hush"}, "SMTP_USER"),
        ({"TWILIO_FROM": "+5511987654321"}, "TWILIO_AUTH_TOKEN"),
    ],
)
def test_settings_that_belong_together_come_together(given: dict[str, str], missing: str) -> None:
    why = f"(because {next(iter(given))} is set)"

    assert any(line.startswith(missing) and line.endswith(why) for line in problems(given))


def test_an_app_secret_without_an_access_token_is_the_simulators() -> None:
    settings = Settings.from_environment(environment={"WHATSAPP_APP_SECRET": "given"})

    assert settings.simulator_on
    assert settings.app_secrets == ("given",)


def test_an_access_token_wants_the_rest_of_its_account() -> None:
    with pytest.raises(SettingsError, match="WHATSAPP_APP_SECRET: missing"):
        Settings.from_environment(environment={"WHATSAPP_ACCESS_TOKEN": "given"})


def test_the_simulator_may_be_forced_on_beside_a_part_of_an_account() -> None:
    settings = Settings.from_environment(
        environment={"PONTE_SIMULATOR": "on", "WHATSAPP_VERIFY_TOKEN": "t"}
    )

    assert settings.simulator_on


def test_two_app_secrets_are_taken_while_rotating() -> None:
    settings = Settings.from_environment(
        environment={**WHATSAPP, "WHATSAPP_APP_SECRET": " new , old "}
    )

    assert settings.app_secrets == ("new", "old")


@pytest.mark.parametrize(("tls", "port"), [("starttls", 587), ("ssl", 465), ("none", 25)])
def test_the_mail_port_follows_the_kind_of_connection(tls: str, port: int) -> None:
    environment = {"SMTP_TLS": tls}

    assert Settings.from_environment(environment=environment).smtp_port == port
    environment["SMTP_PORT"] = "2525"
    assert Settings.from_environment(environment=environment).smtp_port == 2525


def test_the_alert_cooldown_may_be_switched_off() -> None:
    settings = Settings.from_environment(environment={"SLA_ALERT_COOLDOWN_MS": "0"})

    assert settings.sla_alert_cooldown == timedelta()


@pytest.mark.parametrize("written", ["+55 (11) 98765-4321", "5511987654321", "+5511987654321"])
def test_a_phone_number_is_brought_into_one_form(written: str) -> None:
    settings = Settings.from_environment(environment={"NOTIFICATIONS_ADMIN_PHONE": written})

    assert settings.notifications_admin_phone == "+5511987654321"


def test_a_service_account_may_be_given_as_a_file(tmp_path: Path) -> None:
    text = json.dumps({"client_email": "a@b.example", "private_key": "k"})
    (tmp_path / "account.json").write_text(text)

    settings = Settings.from_environment(
        environment={"FCM_SERVICE_ACCOUNT_JSON": str(tmp_path / "account.json")}
    )

    assert settings.fcm_service_account_json.get_secret_value() == text


def test_an_empty_variable_counts_as_not_set() -> None:
    assert Settings.from_environment(environment={"PONTE_PORT": " "}).ponte_port == 8080


def test_secrets_and_addresses_with_passwords_are_not_shown() -> None:
    shown = repr(Settings.from_environment(Process.WEB, environment=WEB))

    for value in ("app-secret", "access-token", "0123456789abcdef", "pw@db", "cache:6379"):
        assert value not in shown


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),  # noqa: S104 - the case
        ("::", "http://[::1]:80"),
        ("ponte.example", "http://ponte.example:80"),
    ],
)
def test_a_listening_address_becomes_a_reachable_one(host: str, url: str) -> None:
    assert local_url(host, 80) == url


def test_the_environment_wins_over_the_file_and_the_file_is_taken_literally(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "env"
    file.write_text("SMTP_PASS='pa$$w${HOME}rd'\nPONTE_PORT=1\n")
    monkeypatch.setenv("PONTE_ENV_FILE", str(file))
    monkeypatch.setenv("PONTE_PORT", "2")

    found = read_environment()

    assert found["SMTP_PASS"] == "pa$$w${HOME}rd"
    assert found["PONTE_PORT"] == "2"


def test_a_misspelt_name_is_noticed() -> None:
    assert unknown_names({"PONTE_PROT": "1", "PONTE_PORT": "1", "HOME": "/"}) == ["PONTE_PROT"]


def test_the_silence_times_may_be_fractions_and_the_reminder_may_be_left_out() -> None:
    given = {"PONTE_SILENCE_REMINDER_MINUTES": "0", "PONTE_SILENCE_CLOSE_MINUTES": "0.5"}
    times = Settings.from_environment(environment=given).silence_times

    assert (times.remind_after, times.close_after) == (None, timedelta(seconds=30))


@pytest.mark.parametrize("close", ["5", "4", "0"])
def test_a_question_ends_after_its_reminder(close: str) -> None:
    with pytest.raises(SettingsError, match="more than PONTE_SILENCE_REMINDER_MINUTES") as caught:
        Settings.from_environment(environment={"PONTE_SILENCE_CLOSE_MINUTES": close})

    assert len(caught.value.problems) == 1


def test_the_example_file_documents_every_setting_and_no_other() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    documented = set(re.findall(r"^#?\s?([A-Z][A-Z0-9_]+)=", text, re.MULTILINE))

    assert documented == {name.upper() for name in Settings.model_fields}


def test_the_example_file_as_it_stands_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / ".env"
    copy.write_text((ROOT / ".env.example").read_text(encoding="utf-8"))
    monkeypatch.setenv("PONTE_ENV_FILE", str(copy))

    given = {name: value for name, value in read_environment().items() if "_" in name}

    assert Settings.from_environment(environment=given).simulator_on
