"""Second factors: what people prove beside their password."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictBool

from gateway.config.scalars import DurationOrZero, parse_duration
from gateway.config.section import Section
from gateway.config.values import Label, OneOrMore


class SecondFactorSettings(Section):
    """What people prove beside their password."""

    required_roles: Annotated[tuple[Label, ...], OneOrMore] = ()
    """Whoever has one of these roles sets up a second factor before they are let in."""
    passkeys: StrictBool = True
    """Whether passkeys and security keys may be used, also to sign in without a password."""
    remember_for: DurationOrZero = Field(parse_duration("30d"), le=parse_duration("365d"))
    """For how long a device may do without the second factor when its owner says so; `0s`: never."""
