"""Compare a cache hit with a hand-written cache, Authlib and MSAL, in one run.

Each line shows the best of several rounds in ns per call, and its ratio to ``client.token()``. Only
the ratios are meaningful for other machines.
"""

from __future__ import annotations

import json
import os
import threading
import time
import timeit
from collections.abc import Callable
from typing import Any

import msal
from authlib.integrations.requests_client import OAuth2Session

import tu_token
from samples import samples

ROUNDS = 7


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


def nanoseconds(row: str, call: Callable[[], Any], number: int) -> float:
    call()
    timer = timeit.Timer("call()", globals={"call": call})
    rounds = [took / number * 1e9 for took in timer.repeat(repeat=ROUNDS, number=number)]
    samples("python", row, 1, "ns", rounds)
    return min(rounds)


def main() -> None:
    client = tu_token.Client()
    calls: dict[str, tuple[Callable[[], Any], int]] = {
        "client.token()": (client.token, 1_000_000),
        'client.token("asset.view")': (lambda: client.token("asset.view"), 500_000),
        "client.get()": (client.get, 300_000),
        "time.monotonic(), for comparison": (time.monotonic, 1_000_000),
        "hand-written cache": (ByHand(client).token, 300_000),
        "Authlib": (authlib(), 100_000),
        "MSAL": (of_msal(), 2_000),
    }
    figures = {row: nanoseconds(row, call, number) for row, (call, number) in calls.items()}
    unit = figures["client.token()"]
    for what, figure in figures.items():
        print(f"  {what:32} {figure:10.0f} ns  {figure / unit:8.1f} x")


if __name__ == "__main__":
    main()
