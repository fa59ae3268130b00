"""People's accounts: how they come about, sign in and stay signed in."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictBool, StrictInt

from gateway.config.scalars import Duration, parse_duration
from gateway.config.section import Section
from gateway.config.values import Issuer, Label, OneOrMore, Origin


class SessionSettings(Section):
    """How long a browser stays signed in."""

    idle_timeout: Duration = parse_duration("12h")
    """Without a request for this long, a session ends."""
    lifetime: Duration = parse_duration("7d")
    """After this, a session ends in any case."""
    remember_for: Duration = parse_duration("30d")
    """The lifetime after a login with "remember me"; idleness does not end it."""
    max_per_user: StrictInt = Field(20, ge=1, le=1000)
    """Above this, a user's oldest session ends."""


class PasswordSettings(Section):
    """What a password must be, and what checking one costs."""

    min_length: StrictInt = Field(8, ge=8, le=64)
    """The shortest password that can be set, in characters."""
    reject_common: StrictBool = True
    """Refuse the 30,000 passwords that are tried first, and the account's own names."""
    min_strength: StrictInt = Field(2, ge=0, le=4)
    """How hard a password must be to guess, as zxcvbn judges it, from 0 (anything) to 4."""
    leaked_url: Issuer | None = None
    """A list of leaked passwords to ask by the first five digits of a hash, of the form of Pwned Passwords' `range`."""
    leaked_required: StrictBool = False
    """Take no new password while that list does not answer; otherwise it is taken, and the log says so."""
    bcrypt_cost: StrictInt = Field(12, ge=4, le=16)
    """The logarithm of bcrypt's rounds: one more doubles the time of a login."""


class Registration(Section):
    """Whether people may make accounts for themselves."""

    enabled: StrictBool = True
    """Anybody may; otherwise only administrators make accounts."""
    require_verified_email: StrictBool = False
    """An account works only after its address was verified."""
    default_roles: Annotated[tuple[Label, ...], OneOrMore] = ("user",)
    """The roles of a new account."""


class LoginSettings(Section):
    """How many failures are tolerated, and where a login may return to."""

    max_failures: StrictInt = Field(10, ge=1, le=10_000)
    """Failed logins for one account within `window`, before it is locked."""
    window: Duration = parse_duration("15m")
    """The time within which failures are counted together."""
    lockout: Duration = parse_duration("15m")
    """How long an account stays locked; the right password does not open it."""
    per_ip: StrictInt = Field(100, ge=1, le=1_000_000)
    """Failed logins from one address (of IPv6, one /64) within `window`, before it must wait."""
    per_network: StrictInt = Field(1000, ge=1, le=10_000_000)
    """Failed logins from one network (an IPv4 /24, an IPv6 /48) within `window`, before it must wait."""
    return_origins: Annotated[tuple[Origin, ...], OneOrMore] = ()
    """Other origins that a login may lead back to, besides the portal and the hosts of routes."""
