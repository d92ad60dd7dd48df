"""Exceptions: classes, attributes and pickling."""

from __future__ import annotations

import pickle

import pytest
from conftest import Emulator

import tu_token
from tu_token import _errors

KINDS = [
    (tu_token.ArgumentError, 1, ValueError),
    (tu_token.ConfigError, 2, ValueError),
    (tu_token.ClosedError, 3, Exception),
    (tu_token.TimeoutError, 100, TimeoutError),
    (tu_token.PendingError, 102, tu_token.TimeoutError),
    (tu_token.NetworkError, 200, ConnectionError),
    (tu_token.TLSError, 201, Exception),
    (tu_token.CredentialsError, 202, Exception),
    (tu_token.ProxyError, 203, tu_token.NetworkError),
    (tu_token.InvalidClientError, 300, Exception),
    (tu_token.InvalidScopeError, 301, Exception),
    (tu_token.OAuthError, 302, Exception),
    (tu_token.RateLimitedError, 303, Exception),
    (tu_token.ServerError, 304, Exception),
    (tu_token.BadResponseError, 305, Exception),
    (tu_token.BudgetError, 400, Exception),
    (tu_token.InternalError, 900, Exception),
]


@pytest.mark.parametrize(("kind", "status", "also"), KINDS)
def test_each_status_has_its_exception(
    kind: type[tu_token.Error], status: int, also: type[Exception]
) -> None:
    raised = _errors.from_core(status, "what happened", "code", 418, True, 1.5)
    assert type(raised) is kind
    assert isinstance(raised, tu_token.Error) and isinstance(raised, also)
    assert (raised.status, raised.oauth_code, raised.http_status) == (status, "code", 418)
    assert raised.retryable is True and raised.retry_after == 1.5
    assert str(raised) == "what happened" and raised.args == ("what happened",)
    assert kind().status == status


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", [kind for kind, _, _ in KINDS] + [_errors.ArgumentTypeError])
def test_exceptions_can_be_pickled(kind: type[tu_token.Error], protocol: int) -> None:
    sent = kind("x", oauth_code="y", http_status=400, retryable=True, retry_after=2.0)
    arrived = pickle.loads(pickle.dumps(sent, protocol))
    assert type(arrived) is kind
    assert str(arrived) == "x" and vars(arrived) == vars(sent)
    with pytest.raises(kind):
        raise arrived


def test_a_refused_scope(client: tu_token.Client) -> None:
    with pytest.raises(tu_token.InvalidScopeError, match="site.update") as refused:
        client.token("site.update")
    error = refused.value
    assert error.status is tu_token.Status.INVALID_SCOPE
    assert (error.oauth_code, error.http_status, error.retryable) == ("invalid_scope", 400, False)
    assert error.retry_after is not None and error.retry_after > 1


def test_a_wrong_secret_is_not_shown() -> None:
    client = tu_token.Client(client_secret="hush-hush-hush")
    with pytest.raises(tu_token.InvalidClientError) as refused:
        client.token()
    assert refused.value.oauth_code == "invalid_client" and refused.value.http_status == 401
    assert "hush" not in repr(refused.value) + str(vars(refused.value))


def test_a_closed_port(emulator: Emulator) -> None:
    client = tu_token.Client(token_url="http://127.0.0.1:9/token/v2", timeout=20)
    with pytest.raises(ConnectionError) as raised:
        client.token()
    assert isinstance(raised.value, tu_token.NetworkError)
    assert raised.value.http_status is None and raised.value.retryable


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 429, "retry_after": 100}, tu_token.RateLimitedError),
        ({"status": 500}, tu_token.ServerError),
        ({"html": True}, tu_token.BadResponseError),
        ({"error": "unsupported_grant_type"}, tu_token.OAuthError),
    ],
)
def test_answers_of_the_endpoint(
    client: tu_token.Client, emulator: Emulator, fault: dict[str, object], kind: type[Exception]
) -> None:
    emulator.fault(**fault)
    with pytest.raises(kind):
        client.token()


def test_the_wait_that_a_server_asks_for(client: tu_token.Client, emulator: Emulator) -> None:
    emulator.fault(retry_after=100)
    with pytest.raises(tu_token.RateLimitedError) as limited:
        client.token()
    assert limited.value.retry_after is not None
    assert 90 < limited.value.retry_after <= 100


def test_the_budget(emulator: Emulator) -> None:
    client = tu_token.Client(max_requests_per_minute=1)
    client.token()
    with pytest.raises(tu_token.BudgetError):
        client.token("site.view")


def test_each_caller_has_an_exception_of_its_own(client: tu_token.Client) -> None:
    raised = []
    for _ in range(2):
        with pytest.raises(tu_token.InvalidScopeError) as refused:
            client.token("site.update")
        raised.append(refused.value)
    assert raised[0] is not raised[1]
