"""What the adapters for HTTP packages have in common."""

from __future__ import annotations

from ._client import Client
from ._options import Texts


class Adapter:
    """Has a client, and the scope of the tokens that it puts onto requests."""

    def __init__(self, client: Client, scope: Texts | None = None) -> None:
        # For what a subclass has beside it.
        super().__init__()
        if not isinstance(client, Client):
            raise TypeError(f"client is a tu_token.Client, not {type(client).__name__}")
        self._client = client
        self._scope = scope
