"""The claims of a token that routes can ask for and send on."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gateway.identity.identity import NO_CLAIMS, ClaimValue


def shown(claims: Mapping[str, Any], protocol: frozenset[str]) -> Mapping[str, ClaimValue]:
    """Return what a token says besides what it is, which are the names in ``protocol``."""
    more = claims.keys() - protocol
    if not more:
        return NO_CLAIMS
    return MappingProxyType({name: value for name in more if (value := _value(claims[name])) is not None})


def _value(value: object) -> ClaimValue | None:
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    return None
