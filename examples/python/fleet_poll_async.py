"""Like ``fleet_poll.py``, but with asyncio: all pages concurrently, with a single token request.

The requirements are those of ``fleet_poll.py``.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import httpx

import tu_token

PAGE_SIZE = 10


async def page(iris: httpx.AsyncClient, number: int) -> dict[str, Any]:
    parameters = {"page": number, "size": PAGE_SIZE}
    answer = await iris.get("/api/asset/v2/assets", params=parameters)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


async def assets(iris: httpx.AsyncClient) -> list[dict[str, Any]]:
    """Return all assets; the first page says how many pages there are."""
    first = await page(iris, 0)
    rest = range(1, first["page"]["totalPages"])
    pages = [first, *await asyncio.gather(*(page(iris, number) for number in rest))]
    return [asset for found in pages for asset in found["content"]]


async def main() -> int:
    base = os.environ.get("IRIS_URL") or "https://iris.trackunit.com"
    try:
        with tu_token.Client(name="fleet-poll") as client:
            auth = tu_token.HttpxAuth(client)
            async with httpx.AsyncClient(base_url=base, auth=auth, timeout=30) as iris:
                found = await assets(iris)
    except tu_token.Error as error:
        # The message is one line that says what to do; it never contains a secret.
        print(f"no token: {error}", file=sys.stderr)
        return 75 if error.retryable else 1
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        print(f"IRIS: {error}", file=sys.stderr)
        return 1
    except (ValueError, LookupError, TypeError):
        # A wrong URL often returns a web page.
        print(f"{base} answered, but without a list of assets: is IRIS_URL right?", file=sys.stderr)
        return 1
    for asset in found:
        print(asset["name"])
    print(f"{len(found)} machines")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
