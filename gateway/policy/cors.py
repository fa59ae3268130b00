"""Cross-origin requests of a route: which pages' scripts may read its answers (Fetch standard, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.policy.fields import Headers

# Fetch section 3.3.3. An upstream's own answers of this kind would contradict ours.
RESPONSE_FIELDS: Final = frozenset(
    {
        b"access-control-allow-origin",
        b"access-control-allow-credentials",
        b"access-control-allow-methods",
        b"access-control-allow-headers",
        b"access-control-expose-headers",
        b"access-control-max-age",
        b"access-control-allow-private-network",
    }
)
ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Cors:
    """``origins`` as browsers write them and ``headers`` in lower case, or ``*``; the age is that of preflights."""

    origins: frozenset[str]
    methods: tuple[str, ...]
    headers: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    credentials: bool = False
    max_age_seconds: int = 600

    def allows(self, origin: str) -> bool:
        return origin in self.origins or ANY in self.origins

    def fields(self, origin: str | None) -> list[tuple[str, str]]:
        """Return the fields of an answer to a page of ``origin``; without leave only that it depends on who asks."""
        if ANY in self.origins and not self.credentials:
            fields = [("Access-Control-Allow-Origin", ANY)]
        elif origin is None or not self.allows(origin):
            return [("Vary", "Origin")]
        else:
            fields = [("Access-Control-Allow-Origin", origin), ("Vary", "Origin")]
        if self.credentials:
            fields.append(("Access-Control-Allow-Credentials", "true"))
        if self.expose:
            fields.append(("Access-Control-Expose-Headers", ", ".join(self.expose)))
        return fields

    def preflight_fields(self, origin: str, wanted: Sequence[str]) -> list[tuple[str, str]]:
        """Return the fields of the answer to a preflight whose request would carry the fields ``wanted``."""
        headers = tuple(name for name in wanted if name.lower() in self.headers) if ANY not in self.headers else wanted
        fields = [
            *(field for field in self.fields(origin) if field[0] != "Access-Control-Expose-Headers"),
            ("Access-Control-Allow-Methods", ", ".join(self.methods)),
            ("Access-Control-Max-Age", str(self.max_age_seconds)),
        ]
        if headers:
            fields.append(("Access-Control-Allow-Headers", ", ".join(headers)))
        return fields


def origin_of(headers: Headers) -> str | None:
    """Return the one origin that a browser names, None without one or with several."""
    origins = headers.getall("Origin", ())
    return origins[0] if len(origins) == 1 else None


def preflight_method(method: str, headers: Headers) -> str | None:
    """Return the method that a preflight asks leave for, None when the request is none."""
    wanted = headers.getall("Access-Control-Request-Method", ())
    if method != "OPTIONS" or len(wanted) != 1 or origin_of(headers) is None:
        return None
    return wanted[0]


def preflight_headers(headers: Headers) -> list[str]:
    """Return the names of the fields that a preflight asks leave for."""
    names = [
        name.strip() for value in headers.getall("Access-Control-Request-Headers", ()) for name in value.split(",")
    ]
    return [name for name in names if name]
