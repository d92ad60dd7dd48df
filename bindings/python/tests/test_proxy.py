"""A proxy that refuses: the exception, and the number of logins."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from test_processes import in_child

import tu_token

# From Python 3.12 on, forking a process with threads gives a warning. Here that is what is tested.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork.. may lead to deadlocks")


class Proxy:
    """Answers every CONNECT the same way, and records the requests."""

    def __init__(self, answer: str) -> None:
        self.heads: list[str] = []
        self._answer = f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def client(self, login: str = "user:hush@") -> tu_token.Client:
        return tu_token.Client(
            client_id="id",
            client_secret="secret",
            scope="a",
            token_url="https://auth.example.test/token/v2",
            proxy=f"http://{login}127.0.0.1:{self._socket.getsockname()[1]}",
        )

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    more = connection.recv(4096)
                    if not more:
                        return
                    head += more
                self.heads.append(head.decode())
                connection.sendall(self._answer)

    def close(self) -> None:
        # A silent connection ends the thread.
        socket.create_connection(self._socket.getsockname()).close()
        self._thread.join()
        self._socket.close()


@pytest.fixture
def proxy_that_answers() -> Iterator[Callable[[str], Proxy]]:
    proxies: list[Proxy] = []

    def start(answer: str) -> Proxy:
        proxies.append(Proxy(answer))
        return proxies[-1]

    yield start
    for proxy in proxies:
        proxy.close()


def test_a_refused_login_is_made_once(proxy_that_answers: Callable[[str], Proxy]) -> None:
    proxy = proxy_that_answers('407 X\r\nProxy-Authenticate: Basic realm="x"')
    for client in (proxy.client(), proxy.client()):
        for scope in ("a", "b"):
            with pytest.raises(tu_token.ProxyError, match="407; it offers Basic") as refused:
                client.token(scope)
            error = refused.value
            assert error.status == tu_token.Status.PROXY and isinstance(error, tu_token.NetworkError)
            assert not error.retryable and error.retry_after is not None
            assert 1700 < error.retry_after <= 1800
            assert "hush" not in str(error)
        client.rotate("other", "secret")
    assert len(proxy.heads) == 1 and "Proxy-Authorization: Basic dXNlcjpodXNo\r\n" in proxy.heads[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_remembers_its_parents_login(proxy_that_answers: Callable[[str], Proxy]) -> None:
    proxy = proxy_that_answers("407 X")
    client = proxy.client()
    with pytest.raises(tu_token.ProxyError):
        client.token()

    def child() -> None:
        for known in (client, proxy.client()):
            with pytest.raises(tu_token.ProxyError):
                known.token()

    assert in_child(child) == 0
    assert len(proxy.heads) == 1


def test_a_rule_of_the_proxys_may_change(proxy_that_answers: Callable[[str], Proxy]) -> None:
    proxy = proxy_that_answers("403 Forbidden")
    with pytest.raises(tu_token.ProxyError, match="403") as forbidden:
        proxy.client().token()
    assert forbidden.value.retryable and len(proxy.heads) == 1


@pytest.mark.parametrize("login", ["CORP\\user:hush@", "u:hu#sh@", "u:hu/sh@", "u:hu sh@", "ü:hush@"])
def test_a_login_that_is_not_percent_encoded(
    login: str, proxy_that_answers: Callable[[str], Proxy]
) -> None:
    with pytest.raises(tu_token.ConfigError, match="percent-encode") as refused:
        proxy_that_answers("407 X").client(login)
    assert "hu" not in str(refused.value) and "CORP" not in str(refused.value)
