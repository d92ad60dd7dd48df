"""What an entry of a client has been through."""

from __future__ import annotations

import dataclasses
import enum

from ._errors import Status


class State(enum.IntEnum):
    """What the cached token of a scope is worth."""

    EMPTY = 0
    """No token has been had, or the last one was refused by an API."""
    FRESH = 1
    """Handed out without a thought."""
    SOFT = 2
    """Handed out at once while one background fetch renews it."""
    HARD = 3
    """About to end: callers wait a little for its successor."""
    EXPIRED = 4
    """Dead."""


@dataclasses.dataclass(frozen=True)
class Stats:
    """What has happened for one scope. Hits are not counted: threads would share the counter."""

    state: State
    last_status: Status
    """The failure of the last fetch; ``Status.OK`` if it brought a token or there was none."""
    expires_in: float
    """Seconds of life left of the cached token."""
    next_request_in: float
    """Seconds until a token request may be made; 0: now."""
    last_fetch: float
    """Seconds that the last fetch took."""
    waits: int
    """Calls that had to wait for a fetch."""
    requests: int
    """Token requests sent."""
    renewals: int
    """Tokens received in the place of a valid one."""
    failures: int
    """Failed fetches."""
