"""Settings of the commands that need a key of this installation."""

from __future__ import annotations

from ponte.cli.app import running_environment, state_folder
from ponte.generated_secrets import stored_secrets
from ponte.settings import Process, Settings, SettingsError, read_environment

_KEYS = ("PONTE_AUDIT_KEY", "PONTE_PRIVACY_KEY")


def settings_with_keys(process: Process = Process.DATABASE_ONLY) -> Settings:
    """The settings, with the keys that `ponte up` made here where the environment names none.

    Raises:
        SettingsError: naming what is missing or wrong.
    """
    environment = running_environment(read_environment())
    stored = stored_secrets(state_folder(environment).path)
    for name in _KEYS:
        if not environment.get(name, "").strip() and name in stored:
            environment[name] = stored[name]
    try:
        return Settings.from_environment(process, environment=environment)
    except SettingsError as error:
        if environment.get("PONTE_DATABASE_URL"):
            raise
        hint = "nothing runs here: start `ponte up` first, or set PONTE_DATABASE_URL"
        raise SettingsError([*error.problems, hint]) from error
