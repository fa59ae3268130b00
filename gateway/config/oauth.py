"""The gateway as an OAuth 2.1 and OpenID Connect provider."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.config.scalars import Duration, DurationOrZero, parse_duration
from gateway.config.section import Section
from gateway.config.values import Scope


class OAuth(Section):
    """Applications that sign people in through the gateway, and programs with tokens of their own."""

    registration: Literal["off", "token", "open"] = "off"
    """Whether clients may register themselves (RFC 7591): nobody's, with a token of an account, or anybody's."""
    refresh_grace: DurationOrZero = Field(parse_duration("0s"), le=parse_duration("60s"))
    """How long a used refresh token is taken once more, for a client that lost the answer."""
    code_lifetime: Duration = Field(parse_duration("60s"), le=parse_duration("10m"))
    """How long an authorization code is good; each is good once."""
    device_lifetime: Duration = Field(parse_duration("10m"), le=parse_duration("1h"))
    """How long a code on a device waits for its person."""
    scopes: dict[Scope, str] = Field(default_factory=dict)
    """More scopes that applications may ask for than routes require; with the words that people consent to."""
