"""JSON bodies of requests, read strictly: one object in UTF-8, no member twice, of a bounded size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from aiohttp import web

from gateway.errors import FieldError, InvalidInput
from gateway.refusal import BODY_TOO_LARGE, Refused

_MAX_BYTES: Final = 64 * 1024


async def read_object(request: web.Request) -> dict[str, Any]:
    """Return the JSON object in a request's body. Raises InvalidInput, and answers 413 or 415."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType
    body = await _read(request)
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidInput([FieldError("", "the body must be one JSON object in UTF-8")]) from error
    if not isinstance(value, dict):
        raise InvalidInput([FieldError("", "the body must be a JSON object")])
    return value


async def _read(request: web.Request) -> bytes:
    body = b""
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > _MAX_BYTES:
            raise Refused(BODY_TOO_LARGE, close=True)
    return body


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is given twice")
    return members


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
