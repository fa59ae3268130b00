"""The claims parameter (OpenID Connect Core 1.0 section 5.5): what of it means anything here, and nothing else.

Only names that are known are kept. What a client wrote around them may be no text that the database could hold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from gateway.oauth.claims import CLAIMS
from gateway.oauth.problem import OAuthError

_LONGEST: Final = 4096
_MEMBERS: Final = ("userinfo", "id_token")


@dataclass(frozen=True, slots=True)
class RequestedClaims:
    """What is asked for by name, and what the answer must not be without.

    ``subjects`` are whom it has to be about (section 3.1.2.2), ``acr_values`` how they have to have signed in
    (section 5.5.1.1); None: whoever, however.
    """

    names: Mapping[str, Mapping[str, None]] | None = None
    subjects: frozenset[str] | None = field(default=None, repr=False)
    acr_values: frozenset[str] | None = None


def read_claims(unverified: str | None) -> RequestedClaims:
    """Read the parameter. Raises OAuthError invalid_request for what is not of its form."""
    if unverified is None:
        return RequestedClaims()
    members = _members(unverified)
    names = {member: {name: None for name in asked if name in CLAIMS} for member, asked in members.items()}
    acr = members["id_token"].get("acr") or {}
    return RequestedClaims(
        names=names if any(names.values()) else None,
        subjects=_values(members["id_token"].get("sub") or {}),
        acr_values=_values(acr) if acr.get("essential") is True else None,
    )


def _members(unverified: str) -> dict[str, Mapping[str, Mapping[str, Any] | None]]:
    if len(unverified) > _LONGEST:
        _refuse()
    try:
        document = json.loads(unverified)
    except (ValueError, RecursionError):
        _refuse()
    if not isinstance(document, dict):
        _refuse()
    members = {name: document.get(name) or {} for name in _MEMBERS}
    for member in members.values():
        if not isinstance(member, dict) or not all(each is None or isinstance(each, dict) for each in member.values()):
            _refuse()
    return members


def _values(asked: Mapping[str, Any]) -> frozenset[str] | None:
    values = asked.get("values", [asked["value"]] if "value" in asked else None)
    if values is None:
        return None
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        _refuse()
    return frozenset(values)


def _refuse() -> NoReturn:
    raise OAuthError("invalid_request", "claims is no JSON object as OpenID Connect describes it.")
