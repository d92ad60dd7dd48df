"""``HttpxAuth``, with and without asyncio."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from conftest import Emulator
from echo import Echo

import tu_token

ASSETS = "/api/asset/v2/assets?size=1"

Send = Callable[..., httpx.Response]


def send_sync(method: str, url: str, options: dict[str, Any], **request: Any) -> httpx.Response:
    with httpx.Client(timeout=10, **options) as http:
        return http.request(method, url, **request)


def send_async(method: str, url: str, options: dict[str, Any], **request: Any) -> httpx.Response:
    async def main() -> httpx.Response:
        async with httpx.AsyncClient(timeout=10, **options) as http:
            return await http.request(method, url, **request)

    return asyncio.run(main())


@pytest.fixture(params=[send_sync, send_async])
def send(request: pytest.FixtureRequest) -> Send:
    sender: Send = request.param
    return sender


class Canned:
    """Answers without a network, and records what was sent where."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[str, str | None]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.sent.append((str(request.url), request.headers.get("Authorization")))
        return self.answers.pop(0)


def through(canned: Canned, client: tu_token.Client) -> dict[str, Any]:
    return {
        "transport": httpx.MockTransport(canned),
        "auth": tu_token.HttpxAuth(client),
        "follow_redirects": True,
    }


def test_a_request_has_the_token(send: Send, client: tu_token.Client, emulator: Emulator) -> None:
    answer = send("GET", emulator.url + ASSETS, {"auth": tu_token.HttpxAuth(client)})
    assert answer.status_code == 200
    assert answer.request.headers["Authorization"] == f"Bearer {client.token()}"
    assert emulator.requests() == 1


def test_a_401_is_repeated_once(send: Send, client: tu_token.Client, emulator: Emulator) -> None:
    emulator.fault(route="/api/asset", reject_v2=True, count=1)
    first = client.token()
    answer = send("GET", emulator.url + ASSETS, {"auth": tu_token.HttpxAuth(client)})
    assert answer.status_code == 200
    assert [response.status_code for response in answer.history] == [401]
    assert client.token() != first
    assert emulator.requests() == 2 and emulator.requests("/api/asset") == 2


def test_a_second_401_is_the_programs(send: Send, emulator: Emulator) -> None:
    events: queue.Queue[tu_token.Event] = queue.Queue()
    client = tu_token.Client(on_event=events.put)
    emulator.fault(route="/api/asset", reject_v2=True)
    answer = send("GET", emulator.url + ASSETS, {"auth": tu_token.HttpxAuth(client)})
    assert answer.status_code == 401
    assert emulator.requests("/api/asset") == 2 and emulator.requests() == 2
    while (event := events.get(timeout=10)).kind is not tu_token.EventKind.WARNING:
        pass
    assert "v2" in event.message


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"content": b"bytes"}, b"bytes"),
        ({"content": "text"}, b"text"),
        ({"json": [1]}, b"[1]"),
        ({"data": {"a": "b"}}, b"a=b"),
        ({}, b""),
    ],
)
def test_a_body_that_is_there_is_sent_again(
    send: Send, client: tu_token.Client, body: dict[str, Any], expected: bytes
) -> None:
    with Echo() as echo:
        answer = send("POST", echo.url, {"auth": tu_token.HttpxAuth(client)}, **body)
        assert answer.status_code == 200
        assert echo.bodies == [expected, expected]
        assert echo.authorizations[1] == f"Bearer {client.token()}" != echo.authorizations[0]


def generated() -> Iterator[bytes]:
    yield b"once "
    yield b"only"


async def generated_async() -> AsyncIterator[bytes]:
    yield b"once "
    yield b"only"


def test_a_body_that_is_used_up_is_not(send: Send, client: tu_token.Client) -> None:
    used = client.token()
    body = generated() if send is send_sync else generated_async()
    with Echo() as echo:
        answer = send("POST", echo.url, {"auth": tu_token.HttpxAuth(client)}, content=body)
        assert answer.status_code == 401 and answer.content == b"once only"
        assert echo.bodies == [b"once only"]
    # The next request has another token nevertheless.
    assert client.token() != used


def test_an_open_file_is_not_sent_again(client: tu_token.Client, tmp_path: Any) -> None:
    (tmp_path / "body").write_bytes(b"once only")
    with Echo() as echo, (tmp_path / "body").open("rb") as body:
        answer = send_sync("POST", echo.url, {"auth": tu_token.HttpxAuth(client)}, content=body)
        assert answer.status_code == 401 and echo.bodies == [b"once only"]


def test_foreign_hosts_get_nothing(send: Send, client: tu_token.Client) -> None:
    canned = Canned(httpx.Response(200), httpx.Response(200), httpx.Response(401))
    options = through(canned, client)
    send("GET", "https://iris.trackunit.com/x", options)
    send("GET", "https://example.com/x", options)
    # A header set by the program is kept.
    send("GET", "https://example.com/y", options, headers={"Authorization": "Basic eDp5"})
    token = f"Bearer {client.token()}"
    assert [authorization for _, authorization in canned.sent] == [token, None, "Basic eDp5"]


def test_a_redirect_to_a_foreign_host(
    send: Send, client: tu_token.Client, emulator: Emulator
) -> None:
    """The redirect drops the header, and a 401 from the other host says nothing about the token."""
    there = httpx.Response(302, headers={"Location": "https://example.com/there"})
    canned = Canned(there, httpx.Response(401))
    answer = send("GET", "https://iris.trackunit.com/x", through(canned, client))
    assert answer.status_code == 401
    assert canned.sent == [
        ("https://iris.trackunit.com/x", f"Bearer {client.token()}"),
        ("https://example.com/there", None),
    ]
    assert emulator.requests() == 1


def test_a_redirect_to_plain_http(send: Send, client: tu_token.Client) -> None:
    there = httpx.Response(302, headers={"Location": "http://iris.trackunit.com/there"})
    canned = Canned(there, httpx.Response(200))
    send("GET", "https://iris.trackunit.com/x", through(canned, client))
    assert canned.sent[1] == ("http://iris.trackunit.com/there", None)


def test_a_redirect_before_the_refused_request_is_not_repeated(
    send: Send, client: tu_token.Client
) -> None:
    """The POST has succeeded; its redirect led to a GET, which was refused."""
    there = httpx.Response(303, headers={"Location": "/there"})
    canned = Canned(there, httpx.Response(401), httpx.Response(200))
    answer = send("POST", "https://iris.trackunit.com/x", through(canned, client), content=b"new")
    assert answer.status_code == 200
    paths = [url.rpartition("/")[2] for url, _ in canned.sent]
    assert paths == ["x", "there", "there"]
    assert canned.sent[2][1] == f"Bearer {client.token()}" != canned.sent[1][1]


def test_a_scope_of_its_own(send: Send, client: tu_token.Client) -> None:
    with Echo(refusals=0) as echo:
        send("GET", echo.url, {"auth": tu_token.HttpxAuth(client, "site.view")})
        assert echo.authorizations == [f"Bearer {client.token('site.view')}"]


def test_a_failure_to_get_a_token_is_raised(send: Send, emulator: Emulator) -> None:
    client = tu_token.Client(client_secret="wrong")
    with pytest.raises(tu_token.InvalidClientError):
        send("GET", emulator.url, {"auth": tu_token.HttpxAuth(client)})


def test_after_close_nothing_is_sent_without_the_token(send: Send, client: tu_token.Client) -> None:
    """Whether the token may be sent is still known; the missing token is an error."""
    client.token()
    client.close()
    with Echo() as echo:
        for method in ("GET", "POST", "DELETE"):
            with pytest.raises(tu_token.ClosedError):
                send(method, echo.url, {"auth": tu_token.HttpxAuth(client)})
        assert echo.authorizations == []


def test_a_client_that_is_closed_before_the_request_is_repeated(
    send: Send, client: tu_token.Client
) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get("Authorization"))
        client.close()
        return httpx.Response(401)

    sent: list[str | None] = []
    options = {"transport": httpx.MockTransport(refuse), "auth": tu_token.HttpxAuth(client)}
    with pytest.raises(tu_token.ClosedError):
        send("POST", "https://iris.trackunit.com/x", options, content=b"body")
    assert len(sent) == 1 and sent[0]


def test_an_argument_that_is_not_a_client() -> None:
    with pytest.raises(TypeError, match=r"client must be a tu_token\.Client, not str"):
        tu_token.HttpxAuth("x")  # type: ignore[arg-type]
