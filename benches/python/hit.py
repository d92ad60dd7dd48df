"""Compare a cache hit with a hand-written cache and with other libraries, in one run.

Each line shows the median of short rounds, which alternate between all ways, in ns per call, and its
ratio to ``time.monotonic()`` or, for a coroutine, to a bare one. Only the ratios are meaningful for
other machines.
"""

from __future__ import annotations

import threading
import time

import tu_token
from peers import peers
from rounds import AwaitedWay, Way, measure

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


class Bare:
    """The least that a coroutine can do."""

    def __init__(self) -> None:
        self.attribute = "x"

    async def get(self) -> str:
        return self.attribute


def main() -> None:
    client = tu_token.Client()
    client.token("asset.view")
    ways = {
        CLOCK: Way("call()", 1000, call=time.monotonic),
        "client.token()": Way("call()", 1000, call=client.token),
        'client.token("asset.view")': Way('call("asset.view")', 1000, call=client.token),
        "client.get()": Way("call()", 1000, call=client.get),
        "client.get().header": Way("call().header", 500, call=client.get),
        BARE: AwaitedWay(Bare().get, 300),
        "await client.token_async()": AwaitedWay(client.token_async, 300),
        "hand-written cache": Way("call()", 1000, call=ByHand(client).token),
        **peers(),
    }
    measure(ways, CLOCK, BARE)


if __name__ == "__main__":
    main()
