"""A user as the rest of the program sees one, and the rules for names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from gateway.errors import FieldError, InvalidInput
from gateway.translation.words import later

ADMIN: Final = "admin"
_USERNAME: Final = re.compile(r"\w[\w.+-]{0,63}")
_LABEL: Final = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
# No encoded word (RFC 2047): mail programs decode one before they look for the address, and find another one.
_EMAIL: Final = re.compile(rf"(?!.*=\?)[^\s@<>\"'(),:;\\\[\]\x00-\x20\x7f]{{1,64}}@{_LABEL}(?:\.{_LABEL})*")
LONGEST_NAME: Final = 254  # of an e-mail address (RFC 5321 section 4.5.3.1.3), which may be the username
_ROLE_LENGTH: Final = 100
_NAME_LENGTH: Final = 200
TAKEN: Final = later("is taken")
_NO_TEXT: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})  # control characters, halves of surrogate pairs, ends of lines
# They turn the words around that follow, beyond the name: a page would say something else than it does (UAX #9).
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True)
class User:
    """Someone with an account. Times are in UTC; ``id`` is a UUID in text, ``revision`` counts the changes."""

    id: str
    username: str
    email: str
    name: str
    roles: tuple[str, ...]
    is_active: bool
    is_verified: bool
    created_at: datetime
    updated_at: datetime
    last_login: datetime | None
    revision: int = 1
    language: str = ""  # a tag (BCP 47) that was chosen; empty: as the browser asks

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.roles

    @classmethod
    def of(cls, row: asyncpg.Record) -> User:
        return cls(
            id=str(row["id"]),
            username=row["username"],
            email=row["email"],
            name=row["name"],
            roles=tuple(row["roles"]),
            is_active=row["is_active"],
            is_verified=row["is_verified"],
            created_at=row["created_at"],
            updated_at=row["updated_at"],
            last_login=row["last_login_at"],
            revision=row["revision"],
            language=row["language"],
        )

    def with_email(self, email: str) -> User:
        """Return the same user at another address."""
        return replace(self, email=email)

    def document(self) -> dict[str, Any]:
        """Return the user as the JSON API shows one."""
        return {
            "id": self.id,
            "username": self.username,
            "email": self.email,
            "name": self.name,
            "roles": list(self.roles),
            "created_at": self.created_at.isoformat(),
            "updated_at": self.updated_at.isoformat(),
            "last_login": self.last_login.isoformat() if self.last_login else None,
            "is_active": self.is_active,
            "is_verified": self.is_verified,
            "is_admin": self.is_admin,
        }


def spelled(username: str) -> str:
    """Return a username as it is stored and sent to applications: in NFKC, so that full width is no other letter."""
    return unicodedata.normalize("NFKC", username)


def name_key(name: str) -> str:
    """Return the one form of all spellings of a username or e-mail address.

    The caller bounds the length: normalizing takes time by the square of the combining marks.
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()


def sorted_roles(roles: Iterable[str]) -> list[str]:
    return sorted(set(roles))


def check_names(username: str, email: str) -> list[FieldError]:
    """Return what is wrong with a username and an e-mail address."""
    errors = []
    if not _is_username(username) and not _is_own_address(username, email):
        detail = later("must be 1 to 64 letters, digits, '.', '_', '-' or '+', or your own e-mail address")
        errors.append(FieldError("username", detail))
    if not is_email(email):
        errors.append(FieldError("email", later("must be an e-mail address, such as ann@example.com")))
    return errors


def is_email(text: str) -> bool:
    """Tell whether ``text`` is an e-mail address, and not another one in full width."""
    # What cannot be seen (zero width, turned direction, half a surrogate pair) makes two addresses look like one.
    if len(text) > LONGEST_NAME or not text.isprintable():
        return False
    # As it is stored where it is a username, too: a colon or a second @ in full width would be one then.
    return _EMAIL.fullmatch(text) is not None and _EMAIL.fullmatch(spelled(text)) is not None


def _is_username(username: str) -> bool:
    return len(username) <= LONGEST_NAME and _USERNAME.fullmatch(spelled(username)) is not None


def _is_own_address(username: str, email: str) -> bool:
    if max(len(username), len(email)) > LONGEST_NAME or username != username.strip():
        return False
    return name_key(username) == name_key(email)


def _is_text(character: str) -> bool:
    return unicodedata.category(character) not in _NO_TEXT and character not in _TURNING


def check_profile(name: str, roles: Iterable[str]) -> list[FieldError]:
    """Return what is wrong with a display name and a list of roles."""
    errors = []
    if len(name) > _NAME_LENGTH or not all(map(_is_text, name)):
        message = later("must be at most %(count)s characters without control characters")
        errors.append(FieldError("name", message, {"count": _NAME_LENGTH}))
    if any(not 1 <= len(role) <= _ROLE_LENGTH or not role.isprintable() or role != role.strip() for role in roles):
        detail = later("must be 1 to 100 printable characters each, without spaces around them")
        errors.append(FieldError("roles", detail))
    return errors


def require_valid(errors: Iterable[FieldError]) -> None:
    """Raise InvalidInput when there are errors."""
    found = tuple(errors)
    if found:
        raise InvalidInput(found)


def account_id_of(text: str) -> UUID | None:
    """Return an account's id as the database has it; None for what is none."""
    try:
        return UUID(text) if len(text) == 36 else None  # noqa: PLR2004 - the canonical form's length
    except ValueError:
        return None


def is_storable(text: str) -> bool:
    """Say whether PostgreSQL could hold ``text`` at all, and anybody be called that."""
    return len(text) <= 400 and "\x00" not in text and text.isprintable()  # noqa: PLR2004
