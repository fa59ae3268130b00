"""Requirements of how and when somebody has signed in. Who does not meet them can do something about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from gateway.identity.identity import CredentialKind, Identity
from gateway.policy.requirements import ANONYMOUS, ONE_FACTOR, SIGNED_IN_TOO_LONG_AGO, IPAddress, Requirement

# Credentials that stand for a moment at which their owner has signed in, and how.
_OF_A_LOGIN: Final = frozenset({CredentialKind.SESSION, CredentialKind.BEARER})


@dataclass(frozen=True, slots=True)
class Mfa:
    """Signed in with more than one factor. An API token is none of it, whoever made it."""

    needs_identity: ClassVar[bool] = True
    children: ClassVar[tuple[Requirement, ...]] = ()
    description: ClassVar[str] = "a second factor"

    def unmet(
        self,
        identity: Identity | None,
        client_ip: IPAddress | None,  # noqa: ARG002
        now: float | None = None,  # noqa: ARG002
    ) -> str | None:
        if identity is None:
            return ANONYMOUS
        if identity.kind not in _OF_A_LOGIN:
            return "no_login"
        return None if "mfa" in identity.methods else ONE_FACTOR


@dataclass(frozen=True, slots=True)
class MaxAuthAge:
    """Signed in at most this long ago. What stands for no login has none that could be recent."""

    seconds: float
    needs_identity: ClassVar[bool] = True
    children: ClassVar[tuple[Requirement, ...]] = ()

    @property
    def description(self) -> str:
        return f"a sign-in at most {self.seconds:g} s ago"

    def unmet(
        self,
        identity: Identity | None,
        client_ip: IPAddress | None,  # noqa: ARG002
        now: float | None = None,
    ) -> str | None:
        if identity is None:
            return ANONYMOUS
        if identity.kind not in _OF_A_LOGIN:
            return "no_login"
        if now is None:  # nobody has said what time it is: it never holds
            return SIGNED_IN_TOO_LONG_AGO
        return None if now - identity.authenticated_at.timestamp() <= self.seconds else SIGNED_IN_TOO_LONG_AGO


def is_timed(requirement: Requirement | None) -> bool:
    """Say whether a condition may change by itself as time goes by."""
    if requirement is None:
        return False
    return isinstance(requirement, MaxAuthAge) or any(is_timed(child) for child in requirement.children)
