"""Passes events to the logger ``tu_token`` and to the program's function."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from ._events import Event, Happened

_logger: logging.Logger | None = None


def tell(function: Callable[[Event], object] | None, happened: Happened) -> None:
    """Pass one event to the logger and to the function, on the library's event thread."""
    logger = _loaded_logger()
    is_logged = logger is not None and logger.isEnabledFor(happened[-1])
    if function is None and not is_logged:
        return
    # Loaded by `Client.__init__`, unless the program has imported `logging` since then.
    from . import _events

    event = _events.event(happened)
    if logger is not None and is_logged:
        _log(logger, event)
    if function is not None:
        function(event)


def _loaded_logger() -> logging.Logger | None:
    """Return the logger, unless the program has not imported ``logging``: then no record is wanted."""
    global _logger
    if _logger is None:
        module = sys.modules.get("logging")
        # Another thread may be importing it just now.
        if module is None or getattr(module.__spec__, "_initializing", False):
            return None
        logger = module.getLogger("tu_token")
        # Without this, `logging` prints warnings to stderr in programs that have not configured it.
        logger.addHandler(module.NullHandler())
        _logger = logger
    return _logger


def _log(logger: logging.Logger, event: Event) -> None:
    """Log one record; the event's members become its attributes, prefixed with ``tu_``."""
    members = {f"tu_{field}": value for field, value in vars(event).items()}
    client = f"{event.client}: " if event.client else ""
    scope = f" [scope {event.scope}]" if event.scope else ""
    token = f" [token {event.fingerprint}]" if event.fingerprint else ""
    logger.log(event.level, "%s%s%s%s", client, event.message, scope, token, extra=members)
