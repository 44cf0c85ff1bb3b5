"""Public holidays from the `holidays` library, for the calendars of `handoff.yml`."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

import holidays


class UnknownHolidayRegionError(LookupError):
    """The library has no holidays for that country or subdivision."""


@lru_cache(maxsize=256)
def holiday_dates(country: str, subdivision: str | None, year: int) -> frozenset[date]:
    """The public holidays of a region in one year.

    Args:
        country: ISO 3166-1 alpha-2, for example "BR".
        subdivision: ISO 3166-2 without the country, for example "SP"; None: the national ones.
        year: Calendar year.

    Raises:
        UnknownHolidayRegionError: The region is not known; the text says what would be.
    """
    known = holidays.list_supported_countries(include_aliases=False)
    if country not in known:
        message = f"no holidays for country {country!r}; expected an ISO code such as BR"
        raise UnknownHolidayRegionError(message)
    if subdivision is not None and subdivision not in known[country]:
        allowed = ", ".join(known[country]) or "none"
        message = f"no holidays for {country}-{subdivision}; expected one of {allowed}"
        raise UnknownHolidayRegionError(message)
    return frozenset(holidays.country_holidays(country, subdiv=subdivision, years=year))
