"""A credential that has been verified, with what that rests on."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from gateway.identity.identity import CredentialKind, Identity

# What a verified credential rests on: a topic and key of the event feed, such as ("session", id).
Dependency = tuple[str, str]

# A cached credential is verified anew after this long, whatever happens: it bounds what a lost wake-up could cost, and
# spaces out how often activity is noted.
KEPT_SECONDS: Final = 60.0


@dataclass(slots=True, eq=False)
class Verified:
    """An identity, how it was proven, and until when that may be believed without asking again.

    ``ends_at`` is when the credential itself is over, in the same: what is still open then is closed.
    ``consumed`` names the header fields that are ours and are not forwarded. ``expires_at`` is in monotonic seconds.
    ``began`` is the ledger's number when verification began: what was revoked later may not be known to it.
    ``headers`` is the proxy's memo: the finished header block of each rule, by the rule's index.
    """

    identity: Identity
    depends_on: frozenset[Dependency]
    expires_at: float
    ends_at: float = math.inf
    consumed: frozenset[str] = frozenset()
    session_id: str | None = None
    login_id: str | None = None
    began: int = 0
    headers: dict[int, tuple[float, bytes]] = field(default_factory=dict, repr=False)

    @property
    def kind(self) -> CredentialKind:
        return self.identity.kind


def roles_of(roles: Iterable[str]) -> tuple[str, ...]:
    """Return the roles in their one order."""
    return tuple(sorted(set(roles)))
