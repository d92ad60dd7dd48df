"""The caches of other libraries, each with a token of the benchmark's endpoint.

Each function imports its library itself: one that is missing costs a row, not the run.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from rounds import Way
from samples import missing


def _authlib() -> Callable[[], Any]:
    from authlib.integrations.requests_client import OAuth2Session

    session = OAuth2Session(
        "bench",
        "secret-of-bench",
        scope="asset.view",
        token_endpoint=os.environ["BENCH_PLAIN"] + "/token",
        token_endpoint_auth_method="client_secret_post",
        grant_type="client_credentials",
    )
    session.fetch_token()

    def token() -> str:
        session.ensure_active_token(session.token)
        value: str = session.token["access_token"]
        return value

    return token


def _google_auth() -> Callable[[], Any]:
    import requests
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from google.auth.transport.requests import Request
    from google.oauth2.service_account import Credentials

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    credentials = Credentials.from_service_account_info(
        {
            "client_email": "bench@localhost",
            "private_key": key.decode(),
            "token_uri": os.environ["BENCH_PLAIN"] + "/token",
        },
        scopes=["asset.view"],
    )
    request = Request(requests.Session())

    def token() -> dict[str, str]:
        headers: dict[str, str] = {}
        credentials.before_request(request, "GET", "https://localhost/", headers)
        return headers

    return token


def _msal() -> Callable[[], Any]:
    import msal
    import requests

    session = requests.Session()
    # With the environment's trust store, requests would ignore this one.
    session.trust_env = False
    session.verify = os.environ["BENCH_CA"]
    application = msal.ConfidentialClientApplication(
        "bench",
        client_credential="secret-of-bench",
        authority=os.environ["BENCH_TLS"] + "/tenant",
        instance_discovery=False,
        http_client=session,
    )
    scopes = ["asset.view"]

    def token() -> str:
        value: str = application.acquire_token_for_client(scopes)["access_token"]
        return value

    return token


def _azure_identity() -> Callable[[], Any]:
    from azure.identity import ClientSecretCredential

    credential = ClientSecretCredential(
        "tenant",
        "bench",
        "secret-of-bench",
        authority=os.environ["BENCH_TLS"],
        disable_instance_discovery=True,
        connection_verify=os.environ["BENCH_CA"],
    )
    return lambda: credential.get_token("https://localhost/.default").token


# Calls in a round: as many as take well below a millisecond.
_PEERS: dict[str, tuple[Callable[[], Callable[[], Any]], int]] = {
    "Authlib": (_authlib, 500),
    "google-auth": (_google_auth, 100),
    "MSAL": (_msal, 10),
    "azure-identity": (_azure_identity, 10),
}


def peers() -> dict[str, Way]:
    """Return the ways of the peers that work here. The others become rows that say why not."""
    ways = {}
    for name, (create, number) in _PEERS.items():
        try:
            call = create()
            call()
        except Exception as error:
            missing("python", name, f"not available: {type(error).__name__}: {error}")
            print(f"  {name}: {type(error).__name__}: {error}")
        else:
            ways[name] = Way("call()", number, call=call)
    return ways
