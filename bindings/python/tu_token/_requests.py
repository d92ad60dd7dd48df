"""``RequestsAuth``: authentication for the package ``requests``."""

from __future__ import annotations

from typing import Any

try:
    import requests
    from requests.auth import AuthBase
    from requests.cookies import extract_cookies_to_jar
    from requests.exceptions import UnrewindableBodyError
    from requests.utils import rewind_body
except ImportError:
    raise ImportError("RequestsAuth needs requests: pip install 'tu-token[requests]'")

from ._adapter import Adapter
from ._native import Token


class RequestsAuth(Adapter, AuthBase):
    """Adds the token to requests to the hosts of ``api_hosts``: ``requests.get(url, auth=...)``.

    A request answered with 401 is repeated once with another token if its body can be sent again. If
    the repeat also gets 401, that response is returned.
    """

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if not self._client.may_send_to(request.url or ""):
            return request
        token = self._client.get(self._scope)
        request.headers["Authorization"] = token.bearer

        def answered(response: requests.Response, **sending: Any) -> requests.Response:
            return self._answered(token, response, sending)

        request.register_hook("response", answered)  # type: ignore[no-untyped-call]
        return request

    def _answered(
        self, token: Token, response: requests.Response, sending: dict[str, Any]
    ) -> requests.Response:
        request = response.request
        # A redirect may have removed the header: then the token was not refused.
        was_refused = (
            response.status_code == 401 and request.headers.get("Authorization") == token.bearer
        )
        if not was_refused:
            return response
        self._client.invalidate(token)
        repeated = request.copy()
        if not _has_body_again(repeated):
            return response
        # Reading the first response frees its connection, whether or not there is a second request.
        response.content
        response.close()
        repeated.headers["Authorization"] = self._client.get(self._scope).bearer
        connection: Any = response
        cookies: Any = repeated
        extract_cookies_to_jar(cookies._cookies, request, response.raw)  # type: ignore[no-untyped-call]
        cookies.prepare_cookies(cookies._cookies)
        second: requests.Response = connection.connection.send(repeated, **sending)
        second.history.append(response)
        second.request = repeated
        if second.status_code == 401:
            self._client.api_refused(repeated.url or "")
        return second


def _has_body_again(request: requests.PreparedRequest) -> bool:
    """Return whether the body can be sent again, rewinding it if needed."""
    if request.body is None or isinstance(request.body, (bytes, str)):
        return True
    try:
        # Seeks a file back to its position when the request was made.
        rewind_body(request)
    except UnrewindableBodyError:
        return False
    return True
