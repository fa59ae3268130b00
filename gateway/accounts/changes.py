"""What is to change of an account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

from gateway.accounts.user import ADMIN, User, sorted_roles


@dataclass(frozen=True, slots=True)
class Changes:
    """What to change; None leaves a thing as it is."""

    username: str | None = None
    email: str | None = None
    name: str | None = None
    password: str | None = field(default=None, repr=False)
    roles: Sequence[str] | None = None
    is_active: bool | None = None
    is_verified: bool | None = None
    language: str | None = None


def may_end_an_admin(changes: Changes) -> bool:
    """Say whether a change may leave nobody to administer."""
    return changes.is_active is False or (changes.roles is not None and ADMIN not in changes.roles)


def merged(user: User, changes: Changes) -> User:
    """Return the user as it will be; a password is no part of one."""
    given = {each.name: getattr(changes, each.name) for each in fields(Changes) if each.name != "password"}
    if given["roles"] is not None:
        given["roles"] = tuple(sorted_roles(given["roles"]))
    return replace(user, **{name: value for name, value in given.items() if value is not None})
