"""Compare a cache hit with a hand-written cache, Authlib and MSAL, in one run.

Each line shows the median of short rounds, which alternate between all ways, in ns per call, and its
ratio to ``time.monotonic()`` or, for a coroutine, to a bare one. Only the ratios are meaningful for
other machines.
"""

from __future__ import annotations

import json
import os
import threading
import time
import timeit
from collections.abc import Callable, Coroutine
from statistics import median
from typing import Any

import msal
from authlib.integrations.requests_client import OAuth2Session

import tu_token
from samples import samples

ROUNDS = 501
CLOCK = "time.monotonic(), for comparison"
BARE = "await a bare async def, for comparison"


class ByHand:
    """A typical hand-written cache: a lock, an expiry, and a request once it has passed."""

    def __init__(self, client: tu_token.Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._token = ""
        self._expires_at = 0.0

    def token(self) -> str:
        with self._lock:
            if time.monotonic() >= self._expires_at:
                token = self._client.get()
                self._token = token.value
                self._expires_at = time.monotonic() + token.expires_in - 30
            return self._token


def authlib() -> Callable[[], str]:
    session = OAuth2Session(
        os.environ["TRACKUNIT_CLIENT_ID"],
        os.environ["TRACKUNIT_CLIENT_SECRET"],
        scope=os.environ["TRACKUNIT_SCOPE"],
        token_endpoint=os.environ["TRACKUNIT_TOKEN_URL"],
        token_endpoint_auth_method="client_secret_post",
        grant_type="client_credentials",
    )
    session.fetch_token()

    def token() -> str:
        session.ensure_active_token(session.token)
        value: str = session.token["access_token"]
        return value

    return token


class Canned:
    """A stand-in for the only service that MSAL can talk to."""

    class Answer:
        status_code = 200
        headers: dict[str, str] = {}

        def __init__(self, content: dict[str, object]) -> None:
            self.text = json.dumps(content)

        def raise_for_status(self) -> None:
            pass

    def get(self, url: str, **options: object) -> Canned.Answer:
        base = "https://login.microsoftonline.com/common"
        return self.Answer(
            {
                "issuer": base,
                "authorization_endpoint": f"{base}/authorize",
                "token_endpoint": f"{base}/token",
            }
        )

    def post(self, url: str, **options: object) -> Canned.Answer:
        return self.Answer(
            {"access_token": "x" * 670, "token_type": "Bearer", "expires_in": 3600}
        )

    def close(self) -> None:
        pass


def of_msal() -> Callable[[], str]:
    application = msal.ConfidentialClientApplication(
        "id",
        client_credential="secret",
        authority="https://login.microsoftonline.com/common",
        instance_discovery=False,
        http_client=Canned(),
    )
    scopes = ["https://example.com/.default"]

    def token() -> str:
        value: str = application.acquire_token_for_client(scopes)["access_token"]
        return value

    return token


class Bare:
    """The least that a coroutine can do."""

    def __init__(self) -> None:
        self.attribute = "x"

    async def get(self) -> str:
        return self.attribute


class Way:
    """A way to get the token, measured in rounds of this many calls."""

    def __init__(self, statement: str, number: int, **names: object) -> None:
        self.timer = timeit.Timer(statement, globals=names)
        self.number = number
        self.rounds: list[float] = []

    def measure(self) -> None:
        self.rounds.append(self.timer.timeit(self.number) / self.number * 1e9)


class AwaitedWay(Way):
    """The same for a coroutine that finishes in its first step."""

    def __init__(self, function: Callable[[], Coroutine[Any, Any, object]], number: int) -> None:
        super().__init__("", number)
        self.function = function

    async def _run(self) -> float:
        function, calls = self.function, range(self.number)
        begun = time.perf_counter()
        for _ in calls:
            await function()
        return time.perf_counter() - begun

    def measure(self) -> None:
        try:
            self._run().send(None)
        except StopIteration as ended:
            self.rounds.append(ended.value / self.number * 1e9)


def main() -> None:
    client = tu_token.Client()
    ways = {
        CLOCK: Way("call()", 1000, call=time.monotonic),
        "client.token()": Way("call()", 1000, call=client.token),
        'client.token("asset.view")': Way('call("asset.view")', 1000, call=client.token),
        "client.get()": Way("call()", 1000, call=client.get),
        "client.get().header": Way("call().header", 500, call=client.get),
        BARE: AwaitedWay(Bare().get, 300),
        "await client.token_async()": AwaitedWay(client.token_async, 300),
        "hand-written cache": Way("call()", 1000, call=ByHand(client).token),
        "Authlib": Way("call()", 500, call=authlib()),
        "MSAL": Way("call()", 10, call=of_msal()),
    }
    client.token("asset.view")
    for _ in range(ROUNDS):
        for way in ways.values():
            way.measure()
    for row, way in ways.items():
        samples("python", row, 1, "ns", way.rounds)
        unit = ways[BARE if isinstance(way, AwaitedWay) else CLOCK]
        figure = median(way.rounds)
        print(f"  {row:40} {figure:8.0f} ns  {figure / median(unit.rounds):7.2f} x")


if __name__ == "__main__":
    main()
