"""Who somebody is elsewhere, out of what a provider says. Nothing here trusts that it has the shape it should have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.errors import GatewayError
from gateway.federation.claims import claim_at, is_plain, text_at
from gateway.federation.presets import Names, Preset

_LONGEST_SUBJECT: Final = 255  # OpenID Connect Core 1.0 section 2
_LAST_SECOND: Final = 1e11
_MFA: Final = "mfa"


class FederationRefused(GatewayError):
    """Somebody cannot be let in by what a provider says. ``reason`` is a stable word; ``detail`` is for the log."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        super().__init__(f"{reason}: {detail}" if detail else reason)


@dataclass(frozen=True, slots=True)
class Profile:
    """A person at a provider. ``authority`` and ``subject`` together never mean another person.

    ``email`` is empty where there is none, ``email_verified`` what the provider says of it. ``authenticated_at`` is in
    seconds since 1970, None where it is not said. ``session`` is the provider's name for the login there.
    """

    authority: str
    subject: str
    email: str = ""
    email_verified: bool = False
    username: str = ""
    name: str = ""
    methods: frozenset[str] = frozenset()
    authenticated_at: float | None = None
    session: str = ""
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def has_two_factors(self) -> bool:
        return _MFA in self.methods

    @property
    def shown(self) -> str:
        """What tells a person which of their accounts elsewhere this is."""
        return self.email or self.username or self.name or self.subject


def profile_of(claims: Mapping[str, Any], authority: str, facts: Preset) -> Profile:
    """Return who ``claims`` are about. Raises FederationRefused when that cannot be told."""
    names = facts.names
    auth_time = claims.get("auth_time")
    methods = claims.get("amr")
    return Profile(
        authority=authority,
        subject=subject_of(claims, names),
        email=_address(text_at(claims, names.email)),
        email_verified=facts.believes_email and claim_at(claims, names.verified) in (True, "true"),
        username=text_at(claims, names.username),
        name=text_at(claims, names.name, 200),
        methods=frozenset(each for each in methods if isinstance(each, str))
        if isinstance(methods, list)
        else frozenset(),
        authenticated_at=_time(auth_time),
        session=text_at(claims, "sid"),
        claims=claims,
    )


def subject_of(claims: Mapping[str, Any], names: Names) -> str:
    """Return what never changes for one person. A number, as some give, is written out. Raises FederationRefused."""
    subject = claim_at(claims, names.subject)
    if isinstance(subject, int) and not isinstance(subject, bool):
        subject = str(subject)
    if not isinstance(subject, str) or not is_plain(subject, _LONGEST_SUBJECT):
        raise FederationRefused("no_subject")
    return subject


def _address(text: str) -> str:
    return text if text.count("@") == 1 and not text.startswith("@") and not text.endswith("@") else ""


def _time(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _LAST_SECOND:
        return None
    return float(value)
