"""Measure the first token of a process, a further fetch and a further client, over TLS.

Usage: first.py requests|tu_token GROUP ROW URL
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from samples import samples

SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt"
Client = Callable[[str], object]


def by_requests(url: str, number: int) -> Client:
    import requests

    session = requests.Session()
    session.verify = SYSTEM_ROOTS

    def get(scope: str) -> object:
        form = {
            "grant_type": "client_credentials",
            "client_id": f"client-{number}",
            "client_secret": "secret-of-bench",
            "scope": scope,
        }
        return session.post(url, data=form).json()["access_token"]

    return get


def by_tu_token(url: str, number: int) -> Client:
    import tu_token

    client = tu_token.Client(
        token_url=url,
        client_id=f"client-{number}",
        client_secret="secret-of-bench",
        scope="asset.view",
    )
    return client.token


def main() -> None:
    kind, group, row, url = sys.argv[1:]
    create = {"requests": by_requests, "tu_token": by_tu_token}[kind]
    __import__(kind)  # is not part of the first token

    def took(part: str, do: Callable[[], object]) -> None:
        start = time.perf_counter_ns()
        do()
        ms = (time.perf_counter_ns() - start) / 1e6
        samples(f"{group}: {part}", row, 1, "ms", [ms])

    clients: list[Client] = []

    def first() -> None:
        clients.append(create(url, 0))
        clients[0]("asset.view")

    took("first", first)
    for number in range(4):
        scope = f"scope-{number}"
        took("further fetch", lambda scope=scope: clients[0](scope))  # type: ignore[misc]
    for number in range(1, 5):
        took("further client", lambda number=number: create(url, number)("asset.view"))  # type: ignore[misc]


if __name__ == "__main__":
    main()
