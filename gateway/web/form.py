"""Forms as pages post them: URL-encoded, small, each field once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web

from gateway.errors import FieldError, InvalidInput

_LARGEST_BYTES: Final = 32 * 1024
_MOST_FIELDS: Final = 40


class FormTooLarge(InvalidInput):
    """More than any form of ours can hold (413)."""


async def read_form(request: web.Request) -> Mapping[str, str]:
    """Return the fields of the request's body; what is not UTF-8 is replaced.

    Raises InvalidInput for another content type or a field that is given twice, FormTooLarge.
    """
    if request.content_type != "application/x-www-form-urlencoded":
        raise InvalidInput([FieldError("", "must be sent as a form")])
    body = await _body(request)
    try:
        pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise InvalidInput([FieldError("", "has too many fields")]) from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidInput([FieldError("", "has a field twice")])
    return fields


async def _body(request: web.Request) -> bytes:
    too_large = FormTooLarge([FieldError("", "is too large")])
    if (request.content_length or 0) > _LARGEST_BYTES:
        raise too_large
    parts, size = [], 0
    async for part in request.content.iter_any():
        size += len(part)
        if size > _LARGEST_BYTES:
            raise too_large
        parts.append(part)
    return b"".join(parts)
