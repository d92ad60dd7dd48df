"""Tokens: obtaining, caching and returning them."""

from __future__ import annotations

import copy
import datetime
import gc
import pickle
import threading
import weakref

import pytest
from conftest import Emulator

import tu_token


def test_the_same_object_until_it_is_renewed(client: tu_token.Client, emulator: Emulator) -> None:
    first = client.token()
    assert client.token() is first
    assert client.get().value == first
    client.invalidate(first)
    second = client.token()
    assert second != first
    assert client.token() is second
    assert emulator.requests() == 2


def test_each_scope_has_its_own(client: tu_token.Client) -> None:
    own, other = client.token(), client.token("site.view")
    assert own != other
    assert client.token("site.view") is other
    assert client.token(["site.view"]) is other
    assert client.token("asset.view site.view") == client.token(["site.view", "asset.view"])


def test_the_members_of_a_token(client: tu_token.Client) -> None:
    token = client.get()
    assert token.bearer == f"Bearer {token.value}"
    assert token.header == {"Authorization": token.bearer}
    assert token.scope == "asset.view"
    assert 1190 < token.expires_in <= 1200
    assert 0 < token.fresh_for < token.expires_in
    assert token.expires_at.tzinfo is datetime.timezone.utc
    left = token.expires_at - datetime.datetime.now(datetime.timezone.utc)
    assert abs(left.total_seconds() - token.expires_in) < 5


def test_a_token_is_a_value(client: tu_token.Client) -> None:
    one, two = client.get(), client.get()
    assert one == two and hash(one) == hash(two) and len({one, two}) == 1
    assert one != client.get("site.view")
    assert one != one.value
    with pytest.raises(AttributeError):
        one.value = "x"  # type: ignore[misc]
    assert copy.copy(one) is one and copy.deepcopy(one) is one


def test_nothing_secret_is_shown(client: tu_token.Client) -> None:
    token = client.get()
    for shown in (repr(token), str(token), f"{token}", repr(client), repr(client.stats())):
        assert token.value not in shown
    client = tu_token.Client(client_id="me", client_secret="hush-hush")
    assert "hush" not in repr(client) + str(vars(type(client)))
    client = tu_token.Client(token_url="http://127.0.0.1:9/token?key=hush")
    assert "hush" not in repr(client) and "http://127.0.0.1:9/token?..." in repr(client)


def test_neither_token_nor_client_is_pickled(client: tu_token.Client) -> None:
    with pytest.raises(TypeError, match="neither pickled nor copied: .* in a spawned process"):
        pickle.dumps(client)
    for copied in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="neither pickled nor copied"):
            copied(client)
    with pytest.raises(TypeError, match="cannot be pickled: it is a secret"):
        pickle.dumps(client.get())


def test_an_old_token_invalidates_nothing(client: tu_token.Client, emulator: Emulator) -> None:
    first = client.get()
    client.invalidate(first)
    second = client.token()
    client.invalidate(first)
    client.invalidate(first.value)
    client.invalidate(first.bearer)
    assert client.token() is second
    client.invalidate(f"Bearer {second}")
    assert client.token() != second
    assert emulator.requests() == 3


def test_min_ttl_asks_for_a_younger_one(client: tu_token.Client, emulator: Emulator) -> None:
    emulator.fault(expires_in=4, count=1)
    assert client.get(min_ttl=1).expires_in < 5
    assert client.get(timeout=0).expires_in < 5


def test_not_waiting(client: tu_token.Client, emulator: Emulator) -> None:
    emulator.fault(delay="30s")
    with pytest.raises(tu_token.PendingError) as pending:
        client.get(timeout=0)
    assert isinstance(pending.value, tu_token.TimeoutError)
    assert isinstance(pending.value, TimeoutError)
    assert pending.value.status is tu_token.Status.PENDING
    with pytest.raises(tu_token.TimeoutError) as timeout:
        client.get(timeout=datetime.timedelta(milliseconds=50))
    assert timeout.value.status == 100 and timeout.value.retryable
    # However short, it is a time to wait.
    with pytest.raises(tu_token.TimeoutError) as timeout:
        client.get(timeout=1e-12)
    assert timeout.value.status == 100
    emulator.await_requests(1)


def test_closing_ends_it(emulator: Emulator) -> None:
    emulator.fault(delay="30s")
    client = tu_token.Client()

    def close() -> None:
        emulator.await_requests(1)
        client.close()

    closer = threading.Thread(target=close)
    closer.start()
    with pytest.raises(tu_token.ClosedError):
        client.token()
    closer.join()
    for call in (client.token, client.get, lambda: client.rotate("a", "b")):
        with pytest.raises(tu_token.ClosedError, match="closed"):
            call()
    client.close()


def test_a_closed_client_returns_nothing() -> None:
    with tu_token.Client() as client:
        assert client.token()
    with pytest.raises(tu_token.ClosedError):
        client.token()


def test_rotating(client: tu_token.Client, emulator: Emulator) -> None:
    kept = client.token()
    client.rotate("somebody", "else")
    assert client.token() is kept
    client.invalidate(kept)
    with pytest.raises(tu_token.InvalidClientError) as refused:
        client.token()
    assert "else" not in str(refused.value)


def test_stats(client: tu_token.Client) -> None:
    assert client.stats().state is tu_token.State.EMPTY
    client.token()
    stats = client.stats()
    assert stats.state is tu_token.State.FRESH
    assert stats.last_status is tu_token.Status.OK
    assert (stats.waits, stats.requests, stats.renewals, stats.failures) == (1, 1, 0, 0)
    assert 1190 < stats.expires_in <= 1200 and 0 < stats.last_fetch < 10
    with pytest.raises(AttributeError):
        stats.waits = 2  # type: ignore[misc]
    with pytest.raises(tu_token.InvalidScopeError):
        client.token("site.update")
    assert client.stats("site.update").last_status is tu_token.Status.INVALID_SCOPE


def test_waking_lets_the_next_caller_try(client: tu_token.Client, emulator: Emulator) -> None:
    emulator.fault(status=500, count=3)
    with pytest.raises(tu_token.ServerError):
        client.token()
    client.wake()
    assert client.token()


def test_hosts(client: tu_token.Client) -> None:
    assert client.may_send_to("https://iris.trackunit.com/api")
    assert not client.may_send_to("http://iris.trackunit.com/api")
    assert not client.may_send_to("https://iris.trackunit.com.example.org/")
    assert client.may_send_to("http://127.0.0.1:1/")


def test_an_unreferenced_client_is_freed() -> None:
    client = tu_token.Client()
    client.token()
    gone = weakref.ref(client)
    del client
    gc.collect()
    assert gone() is None


def test_a_subclass() -> None:
    class Ours(tu_token.Client):
        def greeting(self) -> str:
            return f"Hello {self.token()[:0]}"

    assert Ours().greeting() == "Hello "
