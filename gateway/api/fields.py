"""JSON bodies, read strictly: what is wrong is named by its field, and nothing reaches further in unchecked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from aiohttp import web

from gateway.errors import FieldError, InvalidInput
from gateway.refusal import BODY_TOO_LARGE, Refused

_MAX_BYTES: Final = 64 * 1024
_MAX_TEXT: Final = 2048


class Fields:
    """The members of a JSON object. Each ``take`` checks one; ``done`` raises what was wrong with all of them."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members = members
        self._errors: list[FieldError] = []

    def __contains__(self, name: str) -> bool:
        return self._members.get(name) is not None

    def text(self, name: str, *, required: bool = True) -> str:
        """Take a text of at most 2048 characters; empty when it is optional and absent."""
        value = self._members.get(name)
        if value is None:
            if required:
                self._complain(name, "is required")
            return ""
        if not isinstance(value, str):
            self._complain(name, "must be text")
        elif len(value) > _MAX_TEXT:
            self._complain(name, f"must have at most {_MAX_TEXT} characters")
        elif "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
            self._complain(name, "has a character that no text can have")
        else:
            return value
        return ""

    def texts(self, name: str) -> list[str] | None:
        """Take a list of texts; None when absent."""
        value = self._members.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or any(not isinstance(item, str) for item in value):
            self._complain(name, "must be a list of texts")
            return None
        return [Fields({name: item}).checked_text(name) for item in value]

    def checked_text(self, name: str) -> str:
        """Take a text and raise at once when it is none."""
        value = self.text(name)
        self.done()
        return value

    def flag(self, name: str) -> bool | None:
        """Take true or false; None when absent."""
        value = self._members.get(name)
        if value is not None and not isinstance(value, bool):
            self._complain(name, "must be true or false")
            return None
        return value

    def whole(self, name: str) -> int | None:
        """Take a whole number; None when absent."""
        value = self._members.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 2**53:
            self._complain(name, "must be a whole number")
            return None
        return value

    def refuse(self, name: str, detail: str) -> None:
        """Note something else that is wrong with a field."""
        self._complain(name, detail)

    def done(self) -> None:
        """Raise InvalidInput when anything was wrong."""
        if self._errors:
            raise InvalidInput(self._errors)

    def _complain(self, name: str, detail: str) -> None:
        self._errors.append(FieldError(name, detail))


async def read_fields(request: web.Request) -> Fields:
    """Return the members of the JSON object in a request's body. Raises InvalidInput, and answers 413 or 415."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType
    body = await _read(request)
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidInput([FieldError("", "the body must be one JSON object in UTF-8")]) from error
    if not isinstance(value, dict):
        raise InvalidInput([FieldError("", "the body must be a JSON object")])
    return Fields(value)


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
