"""What a client is told about a person: by scope, and by name (OpenID Connect Core 1.0 sections 5.4 and 5.5)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from gateway.accounts.user import User

_BY_NAME: Final[Mapping[str, Callable[[User], Any]]] = {
    "name": lambda user: user.name or user.username,
    "preferred_username": lambda user: user.username,
    "updated_at": lambda user: int(user.updated_at.timestamp()),
    "email": lambda user: user.email,
    "email_verified": lambda user: user.is_verified,
    "roles": lambda user: list(user.roles),
}
# No address and no telephone number is kept: these scopes are taken, and give nothing.
BY_SCOPE: Final[Mapping[str, tuple[str, ...]]] = {
    "profile": ("name", "preferred_username", "updated_at"),
    "email": ("email", "email_verified"),
    "roles": ("roles",),
    "address": (),
    "phone": (),
}
CLAIMS: Final = tuple(_BY_NAME)


def claims_of(user: User, scopes: Collection[str], requested: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the claims, without ``sub``.

    ``requested`` is a member of the claims parameter, ``userinfo`` or ``id_token``. What is not known is left out,
    essential or not: nobody is locked out for a claim that nobody has.
    """
    names = [name for scope in scopes for name in BY_SCOPE.get(scope, ())]
    names += [name for name in requested or {} if name in _BY_NAME]
    return {name: _BY_NAME[name](user) for name in dict.fromkeys(names)}


def names_beyond(scopes: Collection[str], requested: Collection[str]) -> tuple[str, ...]:
    """Return the claims asked for by name that no scope gives: people have to agree to each."""
    given = {name for scope in scopes for name in BY_SCOPE.get(scope, ())}
    return tuple(name for name in dict.fromkeys(requested) if name in _BY_NAME and name not in given)
