"""The one place where the codes of all providers meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from channels.codes import fcm, smtp, twilio, whatsapp
from channels.codes.rule import SERVER_ERROR, CodeRule, Provider, rule_of_status
from channels.codes.unknown import note_unknown

TABLE: Mapping[Provider, Mapping[str, CodeRule]] = {
    Provider.WHATSAPP: whatsapp.RULES,
    Provider.TWILIO: twilio.RULES,
    Provider.FCM: fcm.RULES,
    Provider.SMTP: smtp.RULES,
}


def rule_for(
    provider: Provider | str, code: str | None, *, http_status: int | None = None
) -> CodeRule:
    """What a code means.

    Args:
        provider: Whose code.
        code: As the provider writes it; None when the answer had none. Mail: `550`, `550_5.1.1`.
        http_status: Of the answer; None for a code that came in a status report.

    Returns:
        Its line of the table. An unknown code is counted, logged once, and goes by the HTTP status.
    """
    owner = Provider(provider)
    if owner is Provider.WHATSAPP and code == "0" and (http_status or 0) >= SERVER_ERROR:
        code = None  # Meta's 0 also stands for "no code"; with a server error it is that
    found = known_rule(owner, code)
    if found is not None:
        return found
    if code is not None:
        note_unknown(owner.value, code, http_status=http_status)
    return rule_of_status(owner, code, http_status)


def known_rule(provider: Provider, code: str | None) -> CodeRule | None:
    """The line of a code; None when it has none."""
    if code is None:
        return None
    rules = TABLE[provider]
    if provider is Provider.SMTP:
        return next((rules[key] for key in smtp.keys_of(code) if key in rules), None)
    return rules.get(code)


def all_rules() -> Iterator[CodeRule]:
    """Every line, provider by provider, in the order of the table."""
    for rules in TABLE.values():
        yield from rules.values()
