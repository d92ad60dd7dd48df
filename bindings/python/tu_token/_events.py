"""Events. Loaded only by programs that receive or log them."""

from __future__ import annotations

import dataclasses
import enum
from typing import TypeAlias

from ._errors import Status

# The members of an event, as passed by the native module.
Happened: TypeAlias = tuple[
    int, int, str, str, str, str | None, int | None, int, float, float | None, int
]


class EventKind(enum.IntEnum):
    """The kind of an event. New kinds may be added."""

    FETCH_STARTED = 1
    FETCH_SUCCEEDED = 2
    FETCH_FAILED = 3
    SERVED_WHILE_FAILING = 4
    INVALIDATED = 5
    ROTATED = 6
    STORE = 7
    CLOCK = 8
    FORK = 9
    BUDGET = 10
    WARNING = 11


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that a client did or noticed. Never contains a secret or a token."""

    kind: EventKind
    status: Status
    """The failure, or ``Status.OK``."""
    client: str
    """The client's ``name`` option."""
    scope: str
    """The canonical scope concerned; empty if the event concerns the whole client."""
    message: str
    """One line of text."""
    fingerprint: str | None
    """Eight hex digits that identify a token within one process."""
    http_status: int | None
    """The HTTP status of the token endpoint's response, if there was one."""
    attempt: int
    """The attempt number within a fetch, from 1; 0 if not about an attempt."""
    duration: float
    """Seconds. For a failed attempt, the time of that attempt; for a successful fetch, its total time
    including earlier attempts and backoff; for a store event, the time since the fetch began; for a
    suspend or a jump of the wall clock, its length. 0 for all others."""
    wait: float | None
    """Seconds until the next attempt, if known."""
    level: int = 20
    """The severity: ``logging.DEBUG``, ``INFO`` or ``WARNING``."""


def event(happened: Happened) -> Event:
    """Return the event for what the native module has passed."""
    return Event(EventKind(happened[0]), Status(happened[1]), *happened[2:])
