"""The testee for Python.

It performs the request in each line through the package's public interface and reports the result. It
checks nothing.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any

import tu_token
from tu_token import _native

Report = dict[str, Any]


class Unknown(Exception):
    """A request or member that this testee does not know."""


class Testee:
    def __init__(self) -> None:
        self.clients: dict[str, tuple[tu_token.Client, list[Report]]] = {}
        self.waits: dict[str, list[Future[Report]]] = {}
        # Cancellable waits are tasks in an event loop on a separate thread.
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def answer(self, request: Report) -> Report:
        members = dict(request)
        name = members.pop("do")
        action: Callable[..., Report | None] | None = getattr(self, f"do_{name}", None)
        if action is None:
            return {"unsupported": name}
        try:
            return action(**members) or {"ok": True}
        except tu_token.Error as error:
            return failed(error)
        except (Unknown, TypeError) as error:
            # A TypeError means a member that the action does not accept.
            return {"unsupported": str(error)}

    def do_new(
        self,
        client: str,
        options: dict[str, Any],
        credentials: list[Any] | None = None,
    ) -> None:
        self.clients.pop(client, None)
        events: list[Report] = []
        made = tu_token.Client(
            credentials=scripted(credentials) if credentials is not None else None,
            on_event=lambda event: events.append(shown_event(event)),
            **options,
        )
        self.clients[client] = made, events

    def do_get(self, client: str, callers: int = 1, **want: Any) -> Report:
        """Each caller in a thread of its own; all start at once."""
        asked, options = self.client(client), get_options(want)
        start = threading.Barrier(callers)
        results: list[Report] = []

        def ask() -> None:
            start.wait()
            results.append(outcome(lambda: asked.get(**options)))

        threads = [threading.Thread(target=ask) for _ in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {"results": results}

    def do_get_async(self, client: str, callers: int = 1, **want: Any) -> Report:
        waits = self.tasks(client, callers, want)
        return {"results": [wait.result() for wait in waits]}

    def do_start(self, id: str, client: str, callers: int = 1, **want: Any) -> None:
        self.waits[id] = self.tasks(client, callers, want)

    def do_cancel(self, id: str) -> None:
        for wait in self.waits[id]:
            wait.cancel()

    def do_join(self, id: str) -> Report:
        return {"results": [joined(wait) for wait in self.waits.pop(id)]}

    def do_invalidate(self, client: str, token: str) -> None:
        self.client(client).invalidate(token)

    def do_rotate(self, client: str, id: str, secret: str) -> None:
        self.client(client).rotate(id, secret)

    def do_wake(self, client: str) -> None:
        self.client(client).wake()

    def do_close(self, client: str) -> None:
        self.client(client).close()

    def do_stats(self, client: str, scope: str | None = None) -> Report:
        stats = self.client(client).stats(scope)
        return {
            "stats": {
                "state": stats.state,
                "last_status": stats.last_status,
                "expires_in_ms": milliseconds(stats.expires_in),
                "next_request_in_ms": milliseconds(stats.next_request_in),
                "last_fetch_ms": milliseconds(stats.last_fetch),
                "waits": stats.waits,
                "requests": stats.requests,
                "renewals": stats.renewals,
                "failures": stats.failures,
            }
        }

    def do_may_send_to(self, client: str, url: str) -> Report:
        return {"value": self.client(client).may_send_to(url)}

    def do_advance(self, ms: int) -> None:
        _native._advance_test_clock_ms(ms)  # type: ignore[attr-defined]

    def do_events(self, client: str) -> Report:
        return {"events": list(self.clients[client][1])}

    def client(self, name: str) -> tu_token.Client:
        return self.clients[name][0]

    def tasks(self, client: str, callers: int, want: Report) -> list[Future[Report]]:
        """So many tasks, all of which have asked when this returns."""
        asked, options = self.client(client), get_options(want)
        begun = threading.Semaphore(0)

        async def ask() -> Report:
            self.loop.call_soon(begun.release)
            try:
                return shown(await asked.get_async(**options))
            except tu_token.Error as error:
                return failed(error)

        waits = [asyncio.run_coroutine_threadsafe(ask(), self.loop) for _ in range(callers)]
        for _ in waits:
            begun.acquire()
        return waits


def get_options(want: Report) -> Report:
    known = {"scope", "timeout_ms", "min_ttl_ms"}
    if not want.keys() <= known:
        raise Unknown(", ".join(want.keys() - known))
    options: Report = {"scope": want.get("scope")}
    if "timeout_ms" in want:
        # "Do not wait" is -1 in the protocol and a zero timeout here.
        options["timeout"] = max(want["timeout_ms"], 0) / 1000
    if "min_ttl_ms" in want:
        options["min_ttl"] = want["min_ttl_ms"] / 1000
    return options


def scripted(script: list[Any]) -> Callable[[bool], tuple[str, str] | None]:
    """Gives one item of the script a call, the last one again and again."""
    left = iter(script)
    latest: Any = None

    def credentials(refused: bool) -> tuple[str, str] | None:
        nonlocal latest
        latest = next(left, latest)
        if isinstance(latest, str):
            raise RuntimeError(latest.removeprefix("fail: "))
        return (latest[0], latest[1]) if latest is not None else None

    return credentials


def joined(wait: Future[Report]) -> Report:
    try:
        return wait.result()
    except CancelledError:
        # A cancelled task has asyncio's exception, not one of the package.
        return failed(
            tu_token.Error(
                "the task was cancelled", status=tu_token.Status.CANCELLED, retryable=True
            )
        )


def outcome(get: Callable[[], tu_token.Token]) -> Report:
    try:
        return shown(get())
    except tu_token.Error as error:
        return failed(error)


def shown(token: tu_token.Token) -> Report:
    ((name, value),) = token.header.items()
    return {
        "token": token.value,
        "bearer": token.bearer,
        "header": f"{name}: {value}",
        "scope": token.scope,
        "expires_in_ms": milliseconds(token.expires_in),
        "fresh_for_ms": milliseconds(token.fresh_for),
    }


def failed(error: tu_token.Error) -> Report:
    return {
        "error": {
            "status": error.status,
            "message": str(error),
            "oauth_code": error.oauth_code,
            "http_status": error.http_status or 0,
            "retryable": error.retryable,
            "retry_after_ms": -1 if error.retry_after is None else milliseconds(error.retry_after),
            "cause": None if error.__cause__ is None else str(error.__cause__),
        }
    }


def shown_event(event: tu_token.Event) -> Report:
    return {
        "kind": event.kind,
        "status": event.status,
        "client": event.client,
        "scope": event.scope,
        "message": event.message,
        "fingerprint": event.fingerprint or "",
        "http_status": event.http_status or 0,
        "attempt": event.attempt,
        "duration_ms": milliseconds(event.duration),
        "wait_ms": -1 if event.wait is None else milliseconds(event.wait),
    }


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def main() -> None:
    testee = Testee()
    for line in sys.stdin:
        print(json.dumps(testee.answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
