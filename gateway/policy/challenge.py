"""How a client is asked to sign in: where a browser goes, and what a program is told."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from gateway.identity.identity import CredentialKind
from gateway.policy.decision import Decision, Outcome
from gateway.policy.freshness import MaxAuthAge
from gateway.policy.requirements import SIGNED_IN_TOO_LONG_AGO

RETURN_PARAMETER = "rd"
NOTHING_MORE: Final[Mapping[str, str]] = MappingProxyType({})
# Authentication context classes (the claim `acr`): NIST SP 800-63B-4's levels of one factor and of two.
ONE_FACTOR: Final = "aal1"
TWO_FACTORS: Final = "aal2"


def acr_of(methods: Collection[str]) -> str:
    """Return the class of a sign-in by these methods (RFC 8176)."""
    return TWO_FACTORS if "mfa" in methods else ONE_FACTOR


def login_url(base: str, return_to: str, asks: Mapping[str, str] = NOTHING_MORE) -> str:
    """Return the login page under ``base`` (the portal's URL with its prefix) that leads back to ``return_to``.

    ``asks`` is what somebody who is signed in already is asked for: `step_up` names it.
    """
    more = "".join(f"&{name}={quote(value, safe='')}" for name, value in asks.items())
    return f"{base.rstrip('/')}/login?{RETURN_PARAMETER}={quote(return_to, safe='')}{more}"


def step_up(decision: Decision) -> Mapping[str, str]:
    """Return what the login page is to ask for after a decision to step up; nothing after any other."""
    if decision.outcome is not Outcome.STEP_UP:
        return NOTHING_MORE
    if isinstance(decision.unmet, MaxAuthAge):
        return {"max_age": f"{decision.unmet.seconds:.0f}"}
    if decision.reason == SIGNED_IN_TOO_LONG_AGO:  # one of several would do
        return {"max_age": "0"}
    return {"prompt": "mfa"}


def step_up_header(asks: Mapping[str, str]) -> str:
    """Return the value of WWW-Authenticate that tells a program what kind of token to get (RFC 9470 section 3)."""
    told = f'max_age="{asks["max_age"]}"' if "max_age" in asks else f'acr_values="{TWO_FACTORS}"'
    return f'Bearer realm="gateway", error="insufficient_user_authentication", {told}'


def challenge_header(kinds: Collection[CredentialKind], error: str | None = None) -> str:
    """Return the value of WWW-Authenticate, which each 401 must have (RFC 9110 section 15.5.2).

    ``error`` is a code of RFC 6750 section 3.1 and is given only when a credential was presented and bad.
    Basic is offered where a route takes it: browsers would ask with a window of their own otherwise.
    """
    bearer = 'Bearer realm="gateway"' + (f', error="{error}"' if error else "")
    if CredentialKind.BASIC in kinds:
        return f'{bearer}, Basic realm="gateway", charset="UTF-8"'
    return bearer
