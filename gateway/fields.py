"""The members of a JSON object, taken strictly: what is wrong is named by its field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.errors import FieldError, InvalidInput

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
