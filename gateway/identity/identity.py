"""Who a credential stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

ClaimValue = str | int | float | bool | tuple[str, ...]

NO_CLAIMS: Final[Mapping[str, ClaimValue]] = MappingProxyType({})


class CredentialKind(StrEnum):
    """What a client presents. The values are the words of a route's ``credentials`` list."""

    SESSION = "session"
    BEARER = "bearer"
    API_TOKEN = "api_token"  # noqa: S105 - the name of a kind, not a secret
    BASIC = "basic"
    CLIENT_CERTIFICATE = "client_certificate"


@dataclass(frozen=True, slots=True)
class Identity:
    """A person (or program) as the gateway knows them at one moment.

    ``roles`` are sorted and unique. ``scopes`` is None when the credential is not limited by scopes
    (a session is its owner); an API token or JWT carries the set it was given. ``audiences`` are whom a
    JWT is for, None for what is not limited by that; ``client_id`` names the OAuth client that it was
    given to. ``routes`` (names) and ``hosts`` (as routes spell them) are what an API token is kept to,
    None for no limit; one that is kept opens nothing of the gateway's own. ``methods`` are RFC 8176
    names of how the person authenticated. ``issuer`` is who else vouches for them, empty where we do:
    who has no account here.
    """

    user_id: str
    username: str
    email: str
    roles: tuple[str, ...]
    kind: CredentialKind
    authenticated_at: datetime
    name: str = ""
    scopes: frozenset[str] | None = None
    audiences: frozenset[str] | None = None
    client_id: str = ""
    issuer: str = ""
    routes: frozenset[str] | None = None
    hosts: frozenset[str] | None = None
    methods: tuple[str, ...] = ("pwd",)
    claims: Mapping[str, ClaimValue] = field(default_factory=lambda: NO_CLAIMS)

    @property
    def is_kept(self) -> bool:
        """Whether the credential is kept to some routes or hosts."""
        return self.routes is not None or self.hosts is not None

    @property
    def is_admin(self) -> bool:
        return "admin" in self.roles
