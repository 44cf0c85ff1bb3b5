"""Secrets of an installation on one machine: made at random once, kept in the state folder."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from ponte.settings import SettingsError

FILE_NAME = "secrets.json"

# 15 digits, like Meta's ids; the simulator stands in for this number only.
_SIMULATED_PHONE_NUMBER_ID = "106540352242922"
_ALWAYS = ("PONTE_BOT_SECRET", "PONTE_AUDIT_KEY", "PONTE_PRIVACY_KEY", "PONTE_METRICS_TOKEN")
_FOR_SIMULATOR = ("WHATSAPP_APP_SECRET", "WHATSAPP_VERIFY_TOKEN", "WHATSAPP_ACCESS_TOKEN")


def fill_in_secrets(
    environment: Mapping[str, str], state_dir: Path, *, simulator_on: bool
) -> dict[str, str]:
    """Values for the secrets that the environment does not set.

    They stay the same from start to start: what a customer sent yesterday is still signed right.
    Call it with the state folder locked (`ponte.processes.state`).

    Raises:
        SettingsError: the file is there and cannot be read.
    """
    path = state_dir / FILE_NAME
    stored = _read(path)
    names = [*_ALWAYS, *(_FOR_SIMULATOR if simulator_on else ())]
    missing = [name for name in names if not environment.get(name, "").strip()]
    fresh = {name: secrets.token_urlsafe(32) for name in missing if name not in stored}
    if fresh:
        stored |= fresh
        _write(path, stored)
    values = {name: stored[name] for name in missing}
    if simulator_on and not environment.get("WHATSAPP_PHONE_NUMBER_ID", "").strip():
        values["WHATSAPP_PHONE_NUMBER_ID"] = _SIMULATED_PHONE_NUMBER_ID
    return values


def stored_secrets(state_dir: Path) -> dict[str, str]:
    """The secrets that an installation on this machine has made; empty when there is none.

    Raises:
        SettingsError: the file is there and cannot be read.
    """
    return _read(state_dir / FILE_NAME)


def _read(path: Path) -> dict[str, str]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(
            [f"{path}: cannot be read ({error}); delete it to make new secrets"]
        ) from error
    if not isinstance(document, dict) or not all(isinstance(v, str) for v in document.values()):
        raise SettingsError([f"{path}: expected an object of texts; delete it to make new secrets"])
    return document


def _write(path: Path, values: Mapping[str, str]) -> None:
    """All or nothing, and never readable by others, not even for a moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(values, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
