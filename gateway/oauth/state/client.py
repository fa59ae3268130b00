"""An OAuth client as the rest of the program sees one."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import urlsplit

AuthMethod = Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]
DEFAULT_AUTH_METHOD: Final = "client_secret_basic"  # RFC 7591 section 2


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """One secret of a client: the SHA-256 of 256 random bits. Two are good while one is being rotated."""

    id: str
    hash: bytes = field(repr=False)
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client (RFC 6749 section 2).

    ``metadata`` holds the members of RFC 7591 section 2 (and of OpenID Connect Registration and logout), checked when
    they were stored; what is read often has a property here.
    """

    id: str
    name: str
    owner_id: str | None
    first_party: bool
    requires_pkce: bool
    may_introspect: bool
    opens_routes: bool
    is_active: bool
    created_at: datetime
    updated_at: datetime
    metadata: Mapping[str, Any] = field(repr=False)
    secrets: tuple[ClientSecret, ...] = field(default=(), repr=False)
    registration_hash: bytes | None = field(default=None, repr=False)

    @property
    def redirect_uris(self) -> Sequence[str]:
        return self._texts("redirect_uris")

    @property
    def grant_types(self) -> Sequence[str]:
        return self._texts("grant_types", ("authorization_code",))

    @property
    def response_types(self) -> Sequence[str]:
        return self._texts("response_types", ("code",))

    @property
    def scopes(self) -> frozenset[str] | None:
        """The scopes that it may ask for; None: any that is offered to everybody."""
        scope = self.metadata.get("scope")
        return None if scope is None else frozenset(str(scope).split())

    @property
    def auth_method(self) -> AuthMethod:
        method: AuthMethod = self.metadata.get("token_endpoint_auth_method", DEFAULT_AUTH_METHOD)
        return method

    @property
    def is_public(self) -> bool:
        """Whether it has nothing to authenticate with (RFC 6749 section 2.1)."""
        return self.auth_method == "none"

    @property
    def is_operators(self) -> bool:
        """Whether administrators alone write it down: it is nobody's, and cannot change itself."""
        return self.owner_id is None and self.registration_hash is None

    @property
    def is_checked(self) -> bool:
        """Whether an administrator has looked at it."""
        return self.first_party or self.is_operators

    @property
    def is_anybodys(self) -> bool:
        """Whether anybody can ask in its name: it has no secret, or one that was given to a stranger."""
        return self.is_public or (self.owner_id is None and self.registration_hash is not None)

    @property
    def sector(self) -> str | None:
        """The host whose names for people it is told (OpenID Connect Core 1.0 section 8.1); None: it knows them all."""
        if self.metadata.get("subject_type") != "pairwise":
            return None
        uri = self.metadata.get("sector_identifier_uri") or next(iter(self.redirect_uris), "")
        return urlsplit(str(uri)).hostname or self.id

    def seconds(self, member: str, default: timedelta) -> int:
        """Return a lifetime of its own (``access_token_lifetime`` and the like, in seconds), else the default."""
        value = self.metadata.get(member)
        return int(value) if value is not None else int(default.total_seconds())

    def has_secret(self, unverified: str, now: datetime) -> bool:
        """Tell whether this is a secret of the client that is good now."""
        presented = hashlib.sha256(unverified.encode("utf-8", "surrogatepass")).digest()
        good = False
        for secret in self.secrets:
            if secret.expires_at is None or secret.expires_at > now:
                good |= hmac.compare_digest(secret.hash, presented)
        return good

    def _texts(self, member: str, default: Sequence[str] = ()) -> Sequence[str]:
        value = self.metadata.get(member)
        return tuple(value) if value is not None else default
