"""``RequestsAuth``."""

from __future__ import annotations

import io
import queue
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from conftest import Emulator
from echo import Echo

import tu_token

ASSETS = "/api/asset/v2/assets?size=1"


class Canned(requests.adapters.BaseAdapter):
    """Answers without a network, and records what was sent where."""

    def __init__(self, *answers: tuple[int, dict[str, str]]) -> None:
        super().__init__()
        self.answers = list(answers)
        self.sent: list[tuple[str | None, str | None]] = []

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        self.sent.append((request.url, request.headers.get("Authorization")))
        status, headers = self.answers.pop(0)
        response = requests.Response()
        response.status_code = status
        response.headers.update(headers)
        response.url = request.url or ""
        response.request = request
        response.raw = io.BytesIO()
        response.connection = self  # type: ignore[assignment]
        return response

    def close(self) -> None:
        pass


def session_with(canned: Canned) -> requests.Session:
    session = requests.Session()
    session.mount("https://", canned)
    return session


def test_a_request_has_the_token(client: tu_token.Client, emulator: Emulator) -> None:
    answer = requests.get(emulator.url + ASSETS, auth=tu_token.RequestsAuth(client), timeout=10)
    assert answer.status_code == 200
    assert answer.request.headers["Authorization"] == f"Bearer {client.token()}"


def test_a_401_is_repeated_once(client: tu_token.Client, emulator: Emulator) -> None:
    emulator.fault(route="/api/asset", reject_v2=True, count=1)
    first = client.token()
    with requests.Session() as session:
        session.auth = tu_token.RequestsAuth(client)
        answer = session.get(emulator.url + ASSETS, timeout=10)
        assert answer.status_code == 200
        assert [response.status_code for response in answer.history] == [401]
        assert client.token() != first
        assert session.get(emulator.url + ASSETS, timeout=10).status_code == 200
    assert emulator.requests() == 2 and emulator.requests("/api/asset") == 3


def test_a_second_401_is_the_programs(emulator: Emulator) -> None:
    events: queue.Queue[tu_token.Event] = queue.Queue()
    client = tu_token.Client(on_event=events.put)
    emulator.fault(route="/api/asset", reject_v2=True)
    answer = requests.get(emulator.url + ASSETS, auth=tu_token.RequestsAuth(client), timeout=10)
    assert answer.status_code == 401
    assert emulator.requests("/api/asset") == 2 and emulator.requests() == 2
    while (event := events.get(timeout=10)).kind is not tu_token.EventKind.WARNING:
        pass
    assert "v2" in event.message


def test_403_is_passed_through(client: tu_token.Client, emulator: Emulator) -> None:
    emulator.fault(route="/api/asset", status=403, count=1)
    answer = requests.get(emulator.url + ASSETS, auth=tu_token.RequestsAuth(client), timeout=10)
    assert answer.status_code == 403 and emulator.requests() == 1


def generated() -> Iterator[bytes]:
    yield b"once "
    yield b"only"


def file_from(position: int) -> io.BytesIO:
    file = io.BytesIO(b"skipped, sent")
    file.seek(position)
    return file


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"data": b"bytes"}, b"bytes"),
        ({"data": "text"}, b"text"),
        ({"json": [1]}, b"[1]"),
        ({"data": {"a": "b"}}, b"a=b"),
        ({"data": file_from(9)}, b"sent"),
        ({}, b""),
    ],
)
def test_a_body_that_is_there_is_sent_again(
    client: tu_token.Client, body: dict[str, Any], expected: bytes
) -> None:
    with Echo() as echo, requests.Session() as session:
        answer = session.post(echo.url, auth=tu_token.RequestsAuth(client), timeout=10, **body)
        assert answer.status_code == 200
        assert echo.bodies == [expected, expected]
        assert echo.authorizations[1] == f"Bearer {client.token()}" != echo.authorizations[0]


def test_a_body_that_is_used_up_is_not(client: tu_token.Client) -> None:
    class Unseekable(io.BytesIO):
        def seek(self, *position: int) -> int:
            raise OSError("a pipe")

    bodies: list[Any] = [generated(), Unseekable(b"once only")]
    for body in bodies:
        used = client.token()
        with Echo() as echo, requests.Session() as session:
            answer = session.post(
                echo.url, data=body, auth=tu_token.RequestsAuth(client), timeout=10
            )
            assert answer.status_code == 401 and answer.content == b"once only"
            assert echo.bodies == [b"once only"]
        # The next request has another token nevertheless.
        assert client.token() != used


def test_foreign_hosts_get_nothing(client: tu_token.Client) -> None:
    canned = Canned((200, {}), (200, {}), (401, {}))
    with session_with(canned) as session:
        auth = tu_token.RequestsAuth(client)
        session.get("https://iris.trackunit.com/x", auth=auth)
        session.get("https://example.com/x", auth=auth)
        # A header set by the program is kept.
        session.get("https://example.com/y", auth=auth, headers={"Authorization": "Basic eDp5"})
    token = f"Bearer {client.token()}"
    assert [authorization for _, authorization in canned.sent] == [token, None, "Basic eDp5"]


def test_a_redirect_to_a_foreign_host(client: tu_token.Client, emulator: Emulator) -> None:
    """The redirect drops the header, and a 401 from the other host says nothing about the token."""
    canned = Canned((302, {"Location": "https://example.com/there"}), (401, {}))
    with session_with(canned) as session:
        answer = session.get("https://iris.trackunit.com/x", auth=tu_token.RequestsAuth(client))
    assert answer.status_code == 401
    assert canned.sent == [
        ("https://iris.trackunit.com/x", f"Bearer {client.token()}"),
        ("https://example.com/there", None),
    ]
    assert emulator.requests() == 1


def test_a_redirect_to_plain_http(client: tu_token.Client) -> None:
    canned = Canned((302, {"Location": "http://iris.trackunit.com/there"}), (200, {}))
    with session_with(canned) as session:
        session.mount("http://", canned)
        session.get("https://iris.trackunit.com/x", auth=tu_token.RequestsAuth(client))
    assert canned.sent[1] == ("http://iris.trackunit.com/there", None)


def test_a_redirect_on_the_same_host(client: tu_token.Client) -> None:
    canned = Canned((302, {"Location": "/there"}), (401, {}), (200, {}))
    with session_with(canned) as session:
        answer = session.get("https://iris.trackunit.com/x", auth=tu_token.RequestsAuth(client))
    assert answer.status_code == 200
    urls = [url for url, _ in canned.sent]
    assert urls[1:] == ["https://iris.trackunit.com/there"] * 2
    assert canned.sent[1][1] != canned.sent[2][1] == f"Bearer {client.token()}"


def test_a_scope_of_its_own(client: tu_token.Client, emulator: Emulator) -> None:
    with Echo(refusals=0) as echo, requests.Session() as session:
        session.get(echo.url, auth=tu_token.RequestsAuth(client, "site.view"), timeout=10)
        assert echo.authorizations == [f"Bearer {client.token('site.view')}"]


def test_a_failure_to_get_a_token_is_raised(emulator: Emulator) -> None:
    client = tu_token.Client(client_secret="wrong")
    with pytest.raises(tu_token.InvalidClientError):
        requests.get(emulator.url, auth=tu_token.RequestsAuth(client), timeout=10)


def test_a_failure_after_a_401_frees_the_connection(client: tu_token.Client) -> None:
    client.token()
    client.rotate("unknown", "wrong")
    with Echo() as echo, requests.Session() as session:
        auth = tu_token.RequestsAuth(client)
        with pytest.raises(tu_token.InvalidClientError) as failure:
            session.post(echo.url, b"body", auth=auth, timeout=10)
        assert session.post(echo.url, b"body", timeout=10).status_code == 200
        assert failure.tb is not None  # what failed is not garbage yet
        adapter: Any = session.get_adapter(echo.url)
        pools = adapter.poolmanager.pools
        assert [pools[key].num_connections for key in pools.keys()] == [1]


def test_after_close_nothing_is_sent_without_the_token(client: tu_token.Client) -> None:
    """Whether the token may be sent is still known; the missing token is an error."""
    client.token()
    client.close()
    with Echo() as echo, requests.Session() as session:
        session.auth = tu_token.RequestsAuth(client)
        for method in ("GET", "POST", "DELETE"):
            with pytest.raises(tu_token.ClosedError):
                session.request(method, echo.url, data=b"body", timeout=10)
        assert echo.authorizations == []


def test_a_client_that_is_closed_before_the_request_is_repeated(client: tu_token.Client) -> None:
    class Closing(tu_token.RequestsAuth):
        def _answered(self, *answered: Any) -> requests.Response:
            client.close()
            return super()._answered(*answered)

    with Echo() as echo, pytest.raises(tu_token.ClosedError):
        requests.post(echo.url, data=b"body", auth=Closing(client), timeout=10)
    assert len(echo.authorizations) == 1 and echo.authorizations[0]


def test_an_argument_that_is_not_a_client() -> None:
    with pytest.raises(TypeError, match=r"client must be a tu_token\.Client, not str"):
        tu_token.RequestsAuth("x")  # type: ignore[arg-type]
