"""``HttpxAuth``: authentication for the package ``httpx``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator

try:
    import httpx
except ImportError:
    raise ImportError("HttpxAuth needs httpx: pip install 'tu-token[httpx]'")

from ._adapter import Adapter
from ._native import Token


class HttpxAuth(Adapter, httpx.Auth):
    """Adds the token to requests to the hosts of ``api_hosts``.

    For ``httpx.Client(auth=...)`` and ``httpx.AsyncClient(auth=...)``, which waits without a thread.

    A request answered with 401 is repeated once with another token if its body can be sent again. If
    the repeat also gets 401, that response is returned.
    """

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        if not self._client.may_send_to(str(request.url)):
            yield request
            return
        token = self._client.get(self._scope)
        response = yield _with_token(request, token)
        if self._is_to_be_repeated(response, token):
            request = response.request
            token = self._client.get(self._scope)
            self._note_second(request, (yield _with_token(request, token)))

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        if not self._client.may_send_to(str(request.url)):
            yield request
            return
        token = await self._client.get_async(self._scope)
        response = yield _with_token(request, token)
        if self._is_to_be_repeated(response, token):
            request = response.request
            token = await self._client.get_async(self._scope)
            self._note_second(request, (yield _with_token(request, token)))

    def _is_to_be_repeated(self, response: httpx.Response, token: Token) -> bool:
        # A redirect may have removed the header: then the token was not refused. Otherwise the
        # redirected request is repeated, not the original one.
        request = response.request
        if response.status_code != 401 or request.headers.get("Authorization") != token.bearer:
            return False
        self._client.invalidate(token)
        # Any other stream may have been consumed.
        return isinstance(request.stream, httpx.ByteStream)

    def _note_second(self, request: httpx.Request, response: httpx.Response) -> None:
        if response.status_code == 401:
            self._client.api_refused(str(request.url))


def _with_token(request: httpx.Request, token: Token) -> httpx.Request:
    request.headers["Authorization"] = token.bearer
    return request
