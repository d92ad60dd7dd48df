"""List the machines of an account: all pages of IRIS's assets, with one token for all requests.

Needs TRACKUNIT_CLIENT_ID, TRACKUNIT_CLIENT_SECRET and TRACKUNIT_SCOPE (asset.view), and, in a copy
of the repository, ``pip install './bindings/python[httpx]'``.
IRIS_URL replaces the base URL https://iris.trackunit.com, for example with the emulator's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import httpx

import tu_token

PAGE_SIZE = 20


def assets(iris: httpx.Client) -> Iterator[dict[str, Any]]:
    """Yield all assets, page by page."""
    number = 0
    while True:
        answer = iris.get("/api/asset/v2/assets", params={"page": number, "size": PAGE_SIZE})
        answer.raise_for_status()
        found = answer.json()
        yield from found["content"]
        number += 1
        if number >= found["page"]["totalPages"]:
            return


def main() -> int:
    base = os.environ.get("IRIS_URL") or "https://iris.trackunit.com"
    try:
        with (
            tu_token.Client(name="fleet-poll") as client,
            httpx.Client(base_url=base, auth=tu_token.HttpxAuth(client), timeout=30) as iris,
        ):
            count = 0
            for asset in assets(iris):
                print(asset["name"])
                count += 1
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
    print(f"{count} machines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
