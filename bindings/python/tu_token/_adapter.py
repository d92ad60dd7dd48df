"""The common part of the adapters for HTTP packages."""

from __future__ import annotations

from ._client import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._types import Texts


class Adapter:
    """Holds a client, and the scope of the tokens that it adds to requests."""

    def __init__(self, client: Client, scope: Texts | None = None) -> None:
        # For cooperative multiple inheritance.
        super().__init__()
        if not isinstance(client, Client):
            raise TypeError(f"client must be a tu_token.Client, not {type(client).__name__}")
        self._client = client
        self._scope = scope
