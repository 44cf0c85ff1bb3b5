"""What the simulator is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

DEFAULT_PHONE_NUMBER_ID = "106540352242922"


class SimulatorSettingsError(ValueError):
    """A setting is missing or wrong; the text names it."""


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """Settings of one simulator.

    Attributes:
        database: SQLite file; made when it is not there.
        callback_url: Where webhooks go, such as `http://127.0.0.1:8000/webhooks/whatsapp`.
        app_secret: Signs webhooks.
        access_token: The bearer token that senders must show.
        verify_token: For the verification handshake; blank switches it off.
        phone_number_id: Id of the business number.
        display_phone_number: The business number, digits.
        business_account_id: Id of the WhatsApp Business account (WABA).
        message_delay: From a customer's tap to the webhook.
        delivered_delay: From acceptance to the status `delivered`.
        read_delay: From acceptance to the status `read`.
        status_linger: How long statuses are collected for one POST.
        window: The customer service window; free-form messages outside it fail (131047).
        rewrite_numbers: Write Brazilian mobiles the way WhatsApp does: no ninth digit outside the
            area codes 11 to 28.
        clock_offset: Moves the simulator's clock, to play a Sunday on a Tuesday.
    """

    database: Path
    callback_url: str
    app_secret: str = field(repr=False)
    access_token: str = field(repr=False)
    verify_token: str = field(default="", repr=False)
    phone_number_id: str = DEFAULT_PHONE_NUMBER_ID
    display_phone_number: str = "551155501234"
    business_account_id: str = "102290129340398"
    message_delay: timedelta = timedelta()
    delivered_delay: timedelta = timedelta(milliseconds=150)
    read_delay: timedelta = timedelta(milliseconds=600)
    status_linger: timedelta = timedelta(milliseconds=50)
    window: timedelta = timedelta(hours=24)
    rewrite_numbers: bool = True
    clock_offset: timedelta = timedelta()

    def __post_init__(self) -> None:
        for name in ("callback_url", "app_secret", "access_token", "phone_number_id"):
            if not getattr(self, name).strip():
                message = f"{name}: expected a value, got a blank one"
                raise SimulatorSettingsError(message)
        if not self.callback_url.startswith(("http://", "https://")):
            message = f"callback_url: expected an http address, got {self.callback_url!r}"
            raise SimulatorSettingsError(message)
        for name in ("message_delay", "delivered_delay", "read_delay", "status_linger"):
            if getattr(self, name) < timedelta():
                message = f"{name}: expected zero or more"
                raise SimulatorSettingsError(message)


def check_host(host: str) -> str:
    """`host` when it is a loopback address: whoever reaches the simulator can play any customer.

    Raises:
        SimulatorSettingsError: It is another address.
    """
    try:
        loopback = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        message = f"host: expected a loopback address such as 127.0.0.1, got {host!r}"
        raise SimulatorSettingsError(message)
    return host
