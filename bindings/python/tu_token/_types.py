"""The types of arguments and options. Only type checkers and ``tu_token.Options`` import this module."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping
from typing import TypeAlias, TypedDict

Credentials: TypeAlias = Callable[[bool], tuple[str, str] | None]
Seconds: TypeAlias = float | datetime.timedelta
Duration: TypeAlias = Seconds | str
"""Seconds, or text such as ``"250ms"`` or ``"20m"``."""
Texts: TypeAlias = str | list[str] | tuple[str, ...]
"""Text separated by spaces, or a list of its parts."""
File: TypeAlias = str | os.PathLike[str]


class Options(TypedDict, total=False):
    """The options of a client, as keyword arguments. ``None`` means not given."""

    client_id: str | None
    client_secret: str | None
    client_id_file: File | None
    client_secret_file: File | None
    scope: Texts | None
    token_url: str | None
    client_auth: str | None
    params: str | Mapping[str, str] | None
    name: str | None
    timeout: Duration | None
    request_timeout: Duration | None
    connect_timeout: Duration | None
    fetch_timeout: Duration | None
    refresh_before: Duration | None
    expiry_margin: Duration | None
    keep_warm: bool | str | None
    max_requests_per_minute: int | str | None
    allow_narrowed_scope: bool | str | None
    ca_file: File | None
    client_cert_file: File | None
    client_key_file: File | None
    proxy: str | None
    user_agent: str | None
    api_hosts: Texts | None
    log: str | None
    store: str | None
    store_timeout: Duration | None
