"""What happened, told to the logger ``tu_token`` and to the program's function."""

from __future__ import annotations

import dataclasses
import enum
import logging
from collections.abc import Callable
from typing import TypeAlias

from ._errors import Status

_LOGGER = logging.getLogger("tu_token")
# A program that has set up no logging is not written to.
_LOGGER.addHandler(logging.NullHandler())


class EventKind(enum.IntEnum):
    """What kind of thing happened. Numbers may be added."""

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
    """One thing that happened. Holds neither a secret nor a token."""

    kind: EventKind
    status: Status
    """The failure, or ``Status.OK``."""
    client: str
    """The client's ``name`` option."""
    scope: str
    """The canonical scope it is about; empty if it is about the client."""
    message: str
    """One line for a person."""
    fingerprint: str | None
    """Eight hex digits that tell tokens apart within one process."""
    http_status: int | None
    """The HTTP status of the token endpoint's answer, if there was one."""
    attempt: int
    """Which attempt of a fetch, from 1; 0: not about an attempt."""
    duration: float
    """Seconds that it took: a failed attempt, that attempt alone; a fetch that brought a token, all of
    it with its earlier attempts and pauses; an event of the store, the fetch up to then; a suspend or a
    jump of the wall clock, how far. 0 for all others."""
    wait: float | None
    """Seconds until the next try, if that is known."""
    level: int = logging.INFO
    """How much a person should care: ``logging.DEBUG``, ``INFO`` or ``WARNING``."""


# The members of an event, as the native module has them.
_Happened: TypeAlias = tuple[
    int, int, str, str, str, str | None, int | None, int, float, float | None, int
]


def tell(function: Callable[[Event], object] | None, happened: _Happened) -> None:
    """Hands one event to the logger and to the function. On the library's thread for events."""
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
    """One record an event; its members are the record's, with ``tu_`` before their names."""
    members = {f"tu_{field}": value for field, value in vars(event).items()}
    client = f"{event.client}: " if event.client else ""
    scope = f" [scope {event.scope}]" if event.scope else ""
    token = f" [token {event.fingerprint}]" if event.fingerprint else ""
    _LOGGER.log(event.level, "%s%s%s%s", client, event.message, scope, token, extra=members)
