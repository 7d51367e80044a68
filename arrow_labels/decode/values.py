"""Single values that JSON writes in several ways: times and timestamps, and the one way that encoding writes them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation, Overflow
from typing import Final

from arrow_labels.wire import FormatVersion, Timestamp, json_text

NANOSECONDS: Final = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
"""Nanoseconds in each `timestamp_unit`."""

_INT64 = 2**63


def parse_timestamp(value: Timestamp | None, unit: int) -> int | None:
    """Nanoseconds of a timestamp that counts `unit` nanoseconds; null for what is no number or beyond int64.

    Decimal, not float, arithmetic: nanosecond epochs do not fit a float64. Halves round to even.

    Examples
    --------
    >>> parse_timestamp("00001", 1), parse_timestamp(0.1, 1_000_000_000), parse_timestamp("noon", 1)
    (1, 100000000, None)
    """
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if type(value) is int:
        nanoseconds = value * unit
    else:
        text = value if isinstance(value, str) else repr(value)
        exact = Context(prec=len(text) + 10, rounding=ROUND_HALF_EVEN)
        try:
            scaled = exact.multiply(Decimal(text), unit)
            if not scaled.is_finite() or abs(scaled) > _INT64:
                return None
            nanoseconds = int(scaled.to_integral_value(ROUND_HALF_EVEN))
        except (InvalidOperation, Overflow):
            return None
    return nanoseconds if -_INT64 <= nanoseconds < _INT64 else None


def format_version(value: FormatVersion | None) -> str | None:
    """A format version as text; a number as its JSON."""
    return value if value is None or isinstance(value, str) else json_text(value)


def parse_time(text: str | None) -> datetime | None:
    """The moment that an ISO 8601 text names, null where it names none; without an offset it is UTC.

    Examples
    --------
    >>> parse_time("2024-05-01T10:00:00.5+02:00")
    datetime.datetime(2024, 5, 1, 8, 0, 0, 500000, tzinfo=datetime.timezone.utc)
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def time_text(moment: datetime) -> str:
    """The ISO 8601 text that encoding writes.

    Examples
    --------
    >>> time_text(parse_time("2024-05-01T10:00:00Z"))
    '2024-05-01T10:00:00Z'
    """
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
