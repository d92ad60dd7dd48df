"""Statistics of a client's cache entries."""

from __future__ import annotations

import dataclasses
import enum

from ._errors import Status


class State(enum.IntEnum):
    """The state of a scope's cached token."""

    EMPTY = 0
    """No token has been received, or an API refused the last one."""
    FRESH = 1
    """Served immediately; no renewal starts."""
    SOFT = 2
    """Served immediately while one background fetch renews it."""
    HARD = 3
    """Close to expiry: callers wait briefly for the next token."""
    EXPIRED = 4
    """Expired: callers wait for the next token."""


@dataclasses.dataclass(frozen=True)
class Stats:
    """Statistics of one scope. Hits are not counted: threads would share the counter."""

    state: State
    last_status: Status
    """The failure of the last fetch; ``Status.OK`` if it succeeded or there was none."""
    expires_in: float
    """Seconds until the cached token expires."""
    next_request_in: float
    """Seconds until a token request is allowed; 0 means now."""
    last_fetch: float
    """Duration of the last fetch in seconds."""
    waits: int
    """Calls that had to wait for a fetch."""
    requests: int
    """Token requests sent."""
    renewals: int
    """Tokens received while another was still valid."""
    failures: int
    """Failed fetches."""
