"""Events, which go to the logger ``tu_token`` and to the program's function."""

from __future__ import annotations

import dataclasses
import enum
import logging
from collections.abc import Callable
from typing import TypeAlias

from ._errors import Status

_LOGGER = logging.getLogger("tu_token")
# Without this, `logging` prints warnings to stderr in programs that have not configured it.
_LOGGER.addHandler(logging.NullHandler())


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
    level: int = logging.INFO
    """The severity: ``logging.DEBUG``, ``INFO`` or ``WARNING``."""


# The members of an event, as passed by the native module.
_Happened: TypeAlias = tuple[
    int, int, str, str, str, str | None, int | None, int, float, float | None, int
]


def tell(function: Callable[[Event], object] | None, happened: _Happened) -> None:
    """Pass one event to the logger and to the function, on the library's event thread."""
    kind, status, level = happened[0], happened[1], happened[-1]
    is_logged = _LOGGER.isEnabledFor(level)
    if function is None and not is_logged:
        return
    event = Event(EventKind(kind), Status(status), *happened[2:])
    if is_logged:
        _log(event)
    if function is not None:
        function(event)


def _log(event: Event) -> None:
    """Log one record; the event's members become its attributes, prefixed with ``tu_``."""
    members = {f"tu_{field}": value for field, value in vars(event).items()}
    client = f"{event.client}: " if event.client else ""
    scope = f" [scope {event.scope}]" if event.scope else ""
    token = f" [token {event.fingerprint}]" if event.fingerprint else ""
    _LOGGER.log(event.level, "%s%s%s%s", client, event.message, scope, token, extra=members)
