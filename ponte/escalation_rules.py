"""The rules of `escalation.yml`, read from the project's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ponte.processes.wiring import ROOT
from ticketing.domain.enums import Level
from ticketing.domain.escalation_file import EscalationFileError, parse_escalation
from ticketing.domain.escalation_rules import EscalationRules
from ticketing.gateways.content_files import UnreadableFileError, read_text

PATH = ROOT / "escalation.yml"


def load_escalation(queues: Mapping[str, Level], *, path: Path = PATH) -> EscalationRules:
    """The rules in force; a project without the file has none.

    Args:
        queues: The queues of `handoff.yml` with their levels.
        path: The file.

    Raises:
        EscalationFileError: listing everything that is wrong with it.
    """
    if not path.exists():
        return EscalationRules()
    try:
        text = read_text(path)
    except UnreadableFileError as error:
        raise EscalationFileError([str(error)]) from error
    return parse_escalation(text, queues=queues, filename=path.name)
