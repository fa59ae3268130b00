"""Who asks, as an assertion says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gateway_client.errors import AssertionRejected


@dataclass(frozen=True, slots=True)
class User:
    """Who asks. ``id`` never changes and is nobody else's; a username may.

    ``scopes`` None: what was presented is not limited by scopes, as a person's own session is not.
    """

    id: str
    username: str
    email: str
    roles: frozenset[str]
    scopes: frozenset[str] | None
    authenticated_at: datetime
    methods: tuple[str, ...]
    # The whole assertion, for what has no name here.
    claims: Mapping[str, Any] = field(repr=False, compare=False)


def user_of(claims: Mapping[str, Any]) -> User:
    """Return the user of verified claims. Raises AssertionRejected when they are not as the gateway writes them."""
    scope = claims.get("scope")
    if scope is not None and not isinstance(scope, str):
        raise AssertionRejected("bad_scope")
    subject = _text(claims, "sub")
    if not subject:
        raise AssertionRejected("bad_sub")
    return User(
        id=subject,
        username=_text(claims, "preferred_username"),
        email=_text(claims, "email"),
        roles=frozenset(_texts(claims, "roles")),
        scopes=None if scope is None else frozenset(scope.split()),
        authenticated_at=_time(claims, "auth_time"),
        methods=tuple(_texts(claims, "amr")),
        claims=claims,
    )


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str):
        raise AssertionRejected(f"bad_{name}")
    return value


def _texts(claims: Mapping[str, Any], name: str) -> list[str]:
    value = claims.get(name)
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise AssertionRejected(f"bad_{name}")
    return value


def _time(claims: Mapping[str, Any], name: str) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise AssertionRejected(f"bad_{name}")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise AssertionRejected(f"bad_{name}") from error
