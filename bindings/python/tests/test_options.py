"""Options: keywords, Python types, environment, and errors."""

from __future__ import annotations

import datetime
import os
import pathlib
import threading
import typing

import certifi
import pytest
from conftest import Emulator

import tu_token
from tu_token import _native, _options


def test_the_table_is_the_librarys() -> None:
    keys = set(_native.option_keys())
    assert set(_options._READERS) == keys, "_READERS in tu_token/_options.py"
    assert set(typing.get_type_hints(tu_token.Options)) == keys, "Options in tu_token/_types.py"


def test_values_in_pythons_types(emulator: Emulator, tmp_path: pathlib.Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    secret.chmod(0o600)
    tu_token.Client(
        client_secret_file=secret,
        scope=["asset.view", "site.view"],
        params={"audience": "a b&c"},
        timeout=1.5,
        request_timeout=datetime.timedelta(seconds=2),
        connect_timeout="250ms",
        fetch_timeout=3,
        keep_warm=False,
        allow_narrowed_scope=True,
        max_requests_per_minute=60,
        api_hosts=("iris.trackunit.com", "localhost"),
        name=None,
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (30, "30000ms"),
        (0, "0ms"),
        (0.25, "250ms"),
        (0.0001, "1ms"),
        (1e-12, "1ms"),
        # 2007.0000000000002 of them.
        (2.007, "2007ms"),
        (0.07, "70ms"),
        (0.2501, "251ms"),
        (-1, "-1000ms"),
        (-0.0001, "-1ms"),
        (-2.007, "-2007ms"),
        (float("-inf"), "-inf"),
        (float("nan"), "nan"),
        (datetime.timedelta(minutes=20), "1200000ms"),
        (datetime.timedelta(milliseconds=2007), "2007ms"),
        (datetime.timedelta(microseconds=1), "1ms"),
        (datetime.timedelta(microseconds=-1), "-1ms"),
        (datetime.timedelta.max, "86400000000000000ms"),
        (datetime.timedelta(0), "0ms"),
        ("20m", "20m"),
    ],
)
def test_durations(value: object, text: str) -> None:
    assert _options.as_text({"timeout": value}) == [("timeout", text)]


def test_none_is_not_given(emulator: Emulator) -> None:
    assert tu_token.Client(client_id=None, scope=None).token()


def test_the_environment_is_not_read_without_pythons_lock(
    monkeypatch: pytest.MonkeyPatch, emulator: Emulator, tmp_path: pathlib.Path
) -> None:
    before, meanwhile, pipe = tmp_path / "before", tmp_path / "meanwhile", tmp_path / "ca.pem"
    before.mkdir()
    meanwhile.mkdir()
    os.mkfifo(pipe)
    clients: list[tu_token.Client] = []
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(before))
    create = threading.Thread(
        target=lambda: clients.append(tu_token.Client(store="file", ca_file=pipe, timeout=30)), daemon=True
    )
    create.start()
    # Opened when the client reads it, without the lock.
    with pipe.open("w") as certificates:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(meanwhile))
        first = pathlib.Path(certifi.where()).read_text().split("-----END CERTIFICATE-----")[0]
        certificates.write(first + "-----END CERTIFICATE-----\n")
    create.join()
    with clients.pop() as client:
        assert client.token()
    assert list(before.glob("tu-token/*")) and not list(meanwhile.iterdir())


def test_a_keyword_wins_over_the_environment(
    monkeypatch: pytest.MonkeyPatch, emulator: Emulator
) -> None:
    monkeypatch.setenv("TRACKUNIT_SCOPE", "site.view")
    assert tu_token.Client().get().scope == "site.view"
    assert tu_token.Client(scope="asset.view").get().scope == "asset.view"


def test_the_error_for_an_unknown_option_suggests_one() -> None:
    with pytest.raises(tu_token.ConfigError, match="did you mean client_secret"):
        tu_token.Client(client_sceret="x")  # type: ignore[call-arg]
    with pytest.raises(tu_token.ConfigError, match="the options are"):
        tu_token.Client(colour="x")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("timeout", True, "timeout must be a number of seconds, a timedelta or a str, not bool"),
        ("timeout", [], "not list"),
        ("client_id", 5, "client_id must be a str, not int"),
        ("client_secret", b"hush", "client_secret must be a str, not bytes"),
        ("scope", {"asset.view"}, "scope must be a str, or a list or tuple of them, not set"),
        ("scope", [1], "scope must be a str, or a list or tuple of them, not list"),
        ("keep_warm", 1, "keep_warm must be a bool or a str, not int"),
        ("max_requests_per_minute", 1.5, "max_requests_per_minute must be an int or a str, not float"),
        ("ca_file", pathlib.Path, "ca_file must be a str or a path"),
        ("params", 5, "params must be a str, or a mapping of str to str, not int"),
        ("params", {"a": None}, "params must be a str, or a mapping of str to str"),
        ("params", {"a": 5}, "params must be a str, or a mapping of str to str"),
        ("params", {"a": b"hush"}, "params must be a str, or a mapping of str to str"),
        ("params", {"a": ["hush"]}, "params must be a str, or a mapping of str to str"),
        ("params", {5: "a"}, "params must be a str, or a mapping of str to str"),
    ],
)
def test_values_of_the_wrong_type(option: str, value: object, said: str) -> None:
    with pytest.raises(tu_token.ConfigError, match=said) as raised:
        tu_token.Client(**{option: value})  # type: ignore[arg-type]
    assert isinstance(raised.value, TypeError) and isinstance(raised.value, ValueError)
    assert raised.value.status is tu_token.Status.CONFIG


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("timeout", -1),
        ("timeout", float("inf")),
        ("timeout", float("nan")),
        ("timeout", 10**400),
        pytest.param("timeout", 10**5000, id="timeout-huge"),
        pytest.param("max_requests_per_minute", 10**5000, id="count-huge"),
        ("timeout", "soon"),
        ("request_timeout", 0),
        ("max_requests_per_minute", 0),
        ("token_url", "http://example.com/token/v2"),
        ("token_url", "no address"),
        ("client_auth", "digest"),
        ("scope", ""),
        ("scope", 'a"b'),
        ("client_id", ""),
        ("ca_file", "/nowhere/ca.pem"),
        ("proxy", "ftp://user:hush@host"),
        ("params", {"scope": "x"}),
    ],
)
def test_values_that_cannot_be_used(option: str, value: object) -> None:
    with pytest.raises(tu_token.ConfigError, match=option) as raised:
        tu_token.Client(**{option: value})  # type: ignore[arg-type]
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [("client_secret", "hush\udc80"), ("params", {"key": "hush\udc80"}), ("params", {"hush\udc80": ""})],
)
def test_a_lone_surrogate_is_refused_and_not_shown(option: str, value: object) -> None:
    with pytest.raises(tu_token.ConfigError, match=f"{option} contains a lone surrogate") as raised:
        tu_token.Client(**{option: value})  # type: ignore[arg-type]
    assert "hush" not in repr(raised.value)
    # The codec's own exception contains the text that it could not encode.
    assert raised.value.__context__ is None


def test_missing_options_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRACKUNIT_CLIENT_ID")
    with pytest.raises(tu_token.ConfigError, match="client_id is missing.*TRACKUNIT_CLIENT_ID"):
        tu_token.Client()
    monkeypatch.setenv("TRACKUNIT_CLIENT_ID", "x")
    monkeypatch.delenv("TRACKUNIT_SCOPE")
    with pytest.raises(tu_token.ArgumentError, match="scope"):
        tu_token.Client().token()


def test_positional_arguments_are_refused() -> None:
    make: typing.Any = tu_token.Client
    with pytest.raises(TypeError, match="positional"):
        make("id", "secret")


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.token(5),
        lambda client: client.token(b"asset.view"),
        lambda client: client.get(scope=object()),
        lambda client: client.get(timeout="soon"),
        lambda client: client.get(timeout=True),
        lambda client: client.get(min_ttl=[]),
        lambda client: client.invalidate(None),
        lambda client: client.invalidate(5),
        lambda client: client.rotate(None, "x"),
        lambda client: client.rotate("x", b"x"),
        lambda client: client.may_send_to(None),
        lambda client: client.stats(5),
    ],
)
def test_arguments_of_the_wrong_type(
    client: tu_token.Client, call: typing.Callable[[tu_token.Client], object]
) -> None:
    with pytest.raises(tu_token.ArgumentError) as raised:
        call(client)
    assert isinstance(raised.value, TypeError)
    assert raised.value.status is tu_token.Status.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.token('a"b'),
        lambda client: client.token("   "),
        lambda client: client.get(timeout=-1),
        lambda client: client.get(timeout=float("nan")),
        lambda client: client.get(timeout=datetime.timedelta(seconds=-1)),
        lambda client: client.get(timeout=10**400),
        lambda client: client.get(min_ttl=-0.5),
        lambda client: client.token("\udc80"),
        lambda client: client.rotate("", "x"),
        lambda client: client.rotate("x", "hush\n"),
        lambda client: client.rotate("x", "hush\udc80"),
    ],
)
def test_arguments_that_cannot_be_used(
    client: tu_token.Client, call: typing.Callable[[tu_token.Client], object]
) -> None:
    with pytest.raises(tu_token.ArgumentError) as raised:
        call(client)
    assert isinstance(raised.value, ValueError) and not isinstance(raised.value, TypeError)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("name", ["timeout", "min_ttl"])
@pytest.mark.parametrize("value", [float("inf"), 1e300, 2e19, 10**20, float("-inf"), -1e-9])
def test_the_error_for_a_time_gives_the_range(
    client: tu_token.Client, name: str, value: float
) -> None:
    said = f"^{name} is .*: it must be 0 to 1e19 seconds$"
    with pytest.raises(tu_token.ArgumentError, match=said):
        client.get(**{name: value})  # type: ignore[arg-type]


def test_a_token_is_not_made_by_hand() -> None:
    with pytest.raises(TypeError):
        tu_token.Token()
