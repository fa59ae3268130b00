"""JSON bodies of the API: nothing reaches further in unchecked."""

from __future__ import annotations

from aiohttp import web

from gateway.fields import Fields
from gateway.json_body import read_object


async def read_fields(request: web.Request) -> Fields:
    """Return the members of the JSON object in a request's body. Raises InvalidInput, and answers 413 or 415."""
    return Fields(await read_object(request))
