"""Scripts of other origins that may use the gateway's own API."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.config.scalars import Duration, parse_duration
from gateway.config.section import Section
from gateway.config.values import CorsOrigin, OneOrMore


class OwnCors(Section):
    """Which pages' scripts may use `/api/`, with a token: sessions of other origins count for nothing there."""

    allow_origins: Annotated[tuple[CorsOrigin, ...], OneOrMore] = ()
    """Origins such as `https://app.example.com`, or `*`; none by default."""
    max_age: Duration = Field(parse_duration("10m"))
    """How long browsers may remember a preflight."""
