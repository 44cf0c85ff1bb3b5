"""Read `policies.yml`."""

from __future__ import annotations

from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from notifications.domain.events import PolicyEvent
from notifications.domain.policies import PoliciesError, Policy, parse_policies

DEFAULT_PATH = Path(__file__).with_name("policies.yml")


def load_policies(path: Path = DEFAULT_PATH) -> dict[PolicyEvent, Policy]:
    """The policies in a YAML file.

    Raises:
        PoliciesError: when the file cannot be read, is no YAML, or says something unusable.
    """
    try:
        document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except OSError as error:
        problem = f"{path.name}: cannot be read ({error.strerror})"
        raise PoliciesError([problem]) from error
    except (YAMLError, ValueError, RecursionError) as error:  # also a day that is none, bytes
        problem = f"{path.name}: is not valid YAML ({' '.join(str(error).split())})"
        raise PoliciesError([problem]) from error
    return parse_policies(document)
