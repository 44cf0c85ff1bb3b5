"""Faults that are planned through the API and happen to the next requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulator.graph_errors import TOLD_LATER, GraphError
from simulator.store import Store

# name -> what happens
SENDING_FAULTS: Mapping[str, str] = {
    "429": "refuse with HTTP 429, code 130429 and Retry-After (retry_after, seconds)",
    "500": "refuse with HTTP 500, code 131000",
    "503": "refuse with HTTP 503, code 131016",
    "error": "refuse with `code` (any of Meta's), `http_status` and `retry_after`",
    "timeout_before_accept": "hold the request `seconds` and hang up; nothing is sent",
    "timeout_after_accept": "send the message, hold the answer `seconds`, then hang up",
    "drop_request": "hang up at once; nothing is sent",
    "drop_reply": "send the message and hang up without an answer",
    "slow": "answer normally after `seconds`",
    "garbage": "send the message and answer 200 with a body that is no JSON",
    "no_delivered": "skip the status `delivered`: a message read at once has only `read`",
    "no_status": "send the message and never tell a status",
}
WEBHOOK_FAULTS: Mapping[str, str] = {
    "duplicate_webhook": "deliver the customer's message twice",
}
ALIASES: Mapping[str, str] = {
    "rate_limit": "429",
    "server_error": "500",
    "pair_limit": "131056",
    "undeliverable": "131026",
    "timeout": "timeout_after_accept",
}
KNOWN = {**SENDING_FAULTS, **WEBHOOK_FAULTS}
_FIRST_CODE = 1000  # numbers below are HTTP statuses


class FaultError(ValueError):
    """A fault that is not known or lacks something; `field` names what."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.field = name


@dataclass(frozen=True, slots=True)
class Fault:
    """One planned fault: its kind and the numbers that go with it."""

    kind: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """How long to hold; longer than any sender waits when nothing is said."""
        usual = 0.5 if self.kind == "slow" else 30.0
        return float(self.parameters.get("seconds", usual))

    def refusal(self) -> GraphError | None:
        """The error this fault answers with, None when it does something else."""
        wait = self.parameters.get("retry_after")
        details = "a fault planned in the simulator"
        if self.kind == "429":
            return GraphError(130429, details, status=429, retry_after=2 if wait is None else wait)
        if self.kind in {"500", "503"}:
            code = {"500": 131000, "503": 131016}[self.kind]
            return GraphError(code, details, status=int(self.kind), retry_after=wait)
        if self.kind == "error":
            status = self.parameters.get("http_status")
            code = int(self.parameters["code"])
            return GraphError(code, details, status=status, retry_after=wait)
        return None

    def told_later(self) -> bool:
        """Whether Meta would accept the message and tell of this error in a status."""
        if self.kind != "error":
            return False
        usual = int(self.parameters["code"]) in TOLD_LATER
        return bool(self.parameters.get("async", usual))


def read_fault(body: Mapping[str, Any]) -> Fault:
    """The fault a request describes: `kind` is a name, an alias, or one of Meta's codes.

    Raises:
        FaultError: The kind is not known, or a number is missing or wrong.
    """
    kind = str(body.get("kind", "")).strip()
    kind = ALIASES.get(kind, kind)
    parameters = {
        key: body[key]
        for key in ("seconds", "retry_after", "http_status", "code", "async")
        if body.get(key) is not None
    }
    if kind.isdecimal() and int(kind) >= _FIRST_CODE:
        kind, parameters["code"] = "error", int(kind)
    if kind not in KNOWN:
        known = ", ".join([*KNOWN, *ALIASES])
        message = f"expected one of {known}, or an error code of Meta's"
        name = "kind"
        raise FaultError(name, message)
    for key in ("seconds", "retry_after", "http_status", "code"):
        value = parameters.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            message = "expected a number, zero or more"
            raise FaultError(key, message)
    if kind == "error" and "code" not in parameters:
        name, message = "code", "expected one of Meta's error codes"
        raise FaultError(name, message)
    return Fault(kind, parameters)


def take_fault(store: Store, *, kinds: Mapping[str, str], customer: str) -> Fault | None:
    """The next planned fault of these kinds for this customer; it is used up once."""
    for planned in store.faults():
        if planned["kind"] in kinds and planned["to"] in {None, customer}:
            store.use_fault(planned["id"])
            return Fault(planned["kind"], planned)
    return None
