"""Who is asking, for applications behind the auth-gateway: only its signed assertion is believed, never a plain header.

``Verifier`` checks; a module for each framework puts it before the application and gives ``current_user`` and
``require_auth``: ``flask``, ``django``, ``aiohttp``, ``fastapi``, ``starlette``, ``asgi``, ``wsgi``.
"""

from __future__ import annotations

from gateway_client.access import check
from gateway_client.assertions import HEADER, Verifier
from gateway_client.errors import AssertionRejected, KeysUnavailable, Refused
from gateway_client.user import User

__all__ = ["HEADER", "AssertionRejected", "KeysUnavailable", "Refused", "User", "Verifier", "check"]
