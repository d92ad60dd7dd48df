"""Converts the options to the text that the library parses.

Modules that only some values need are imported where they are used: every program pays for the others.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    _Reader: TypeAlias = Callable[[object], str | None]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: object) -> str | None:
    if isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value):
        return " ".join(value)
    return _text(value)


def _file(value: object) -> str | None:
    if isinstance(value, os.PathLike):
        value = value.__fspath__()
    return _text(value)


def _flag(value: object) -> str | None:
    return str(value).lower() if isinstance(value, bool) else _text(value)


def _count(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        # Python refuses to convert an int of thousands of digits to decimal.
        return str(value) if value.bit_length() <= 64 else hex(value)
    return _text(value)


def _duration(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        # Of any size: the library reports what is too large. (Not as a float, which could overflow.)
        return f"{_count(value * 1000)}ms"
    if isinstance(value, float):
        import math

        # Infinities and NaN are passed on unchanged: the library reports them.
        return _rounded(value * 1000) if math.isfinite(value * 1000) else str(value)
    import datetime

    if isinstance(value, datetime.timedelta):
        whole, rest = divmod(abs(value), datetime.timedelta(milliseconds=1))
        return _milliseconds(whole + bool(rest), value < datetime.timedelta(0))
    return None


def _rounded(milliseconds: float) -> str:
    """Round away from 0, which has a special meaning; but 2.007 s, slightly more in binary, is 2007 ms."""
    import math

    nearest, amount = round(abs(milliseconds)), abs(milliseconds)
    is_meant = nearest > 0 and abs(amount - nearest) < 1e-6
    return _milliseconds(nearest if is_meant else math.ceil(amount), milliseconds < 0)


def _milliseconds(amount: int, is_negative: bool) -> str:
    return f"{'-' if is_negative else ''}{amount}ms"


def _params(value: object) -> str | None:
    if isinstance(value, str):
        return value
    from collections.abc import Mapping

    if not isinstance(value, Mapping):
        return None
    parts = [part for pair in value.items() for part in pair]
    # str() would accept anything, and the result would be sent.
    if not all(isinstance(part, str) for part in parts):
        return None
    # Invalid text is passed on unencoded, so that it is refused.
    if _has_surrogate("".join(parts)):
        return "".join(parts)
    from urllib.parse import urlencode

    return urlencode(value)


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


_TEXT: tuple[_Reader, str] = (_text, "a str")
_FILE: tuple[_Reader, str] = (_file, "a str or a path")
_TEXTS: tuple[_Reader, str] = (_texts, "a str, or a list or tuple of them")
_DURATION: tuple[_Reader, str] = (_duration, "a number of seconds, a timedelta or a str")
_FLAG: tuple[_Reader, str] = (_flag, "a bool or a str")

# How to convert a value, and the expected type for error messages.
_READERS: dict[str, tuple[_Reader, str]] = {
    "client_id": _TEXT,
    "client_secret": _TEXT,
    "client_id_file": _FILE,
    "client_secret_file": _FILE,
    "scope": _TEXTS,
    "token_url": _TEXT,
    "client_auth": _TEXT,
    "params": (_params, "a str, or a mapping of str to str"),
    "name": _TEXT,
    "timeout": _DURATION,
    "request_timeout": _DURATION,
    "connect_timeout": _DURATION,
    "fetch_timeout": _DURATION,
    "refresh_before": _DURATION,
    "expiry_margin": _DURATION,
    "keep_warm": _FLAG,
    "max_requests_per_minute": (_count, "an int or a str"),
    "allow_narrowed_scope": _FLAG,
    "ca_file": _FILE,
    "client_cert_file": _FILE,
    "client_key_file": _FILE,
    "proxy": _TEXT,
    "user_agent": _TEXT,
    "api_hosts": _TEXTS,
    "log": _TEXT,
    "store": _TEXT,
    "store_timeout": _DURATION,
}


def as_text(options: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the given options as text.

    Unknown keys are passed on for the library to refuse: its message suggests the right one.
    """
    return [(key, _as_text(key, value)) for key, value in options.items() if value is not None]


def _as_text(key: str, value: object) -> str:
    if key not in _READERS:
        return ""
    read, expected = _READERS[key]
    text = read(value)
    if text is None:
        from ._errors import ConfigTypeError

        raise ConfigTypeError(f"option {key} must be {expected}, not {type(value).__name__}")
    if _has_surrogate(text):
        from ._errors import ConfigError

        raise ConfigError(f"option {key} contains a lone surrogate, which is not valid text")
    return text
