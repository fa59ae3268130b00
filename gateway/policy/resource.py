"""Routes as protected resources: programs are told where to get a token for one (RFC 9728)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"


@dataclass(frozen=True, slots=True)
class Resource:
    """What a route is to OAuth clients. ``path`` is where it begins, empty for the whole of ``host``.

    ``scopes`` are those that the route requires.
    """

    identifier: str
    origin: str
    host: str
    path: str
    name: str
    scopes: tuple[str, ...] = ()

    @property
    def metadata_path(self) -> str:
        """The document's path on the resource's host (RFC 9728 section 3.1)."""
        return f"{WELL_KNOWN}{self.path}"

    @property
    def metadata_url(self) -> str:
        return f"{self.origin}{self.metadata_path}"

    def document(self, issuer: str) -> dict[str, Any]:
        """Return the metadata (RFC 9728 section 2)."""
        document: dict[str, Any] = {
            "resource": self.identifier,
            "resource_name": self.name,
            "authorization_servers": [issuer],
            "bearer_methods_supported": ["header"],
        }
        if self.scopes:
            document["scopes_supported"] = list(self.scopes)
        return document

    def challenge(self, challenge: str) -> str:
        """Return a Bearer challenge that says where to get a token (RFC 9728 section 5.1)."""
        bearer, comma, others = challenge.partition(", Basic ")
        bearer += f', resource_metadata="{self.metadata_url}"'
        if self.scopes and "scope=" not in bearer:
            bearer += f', scope="{" ".join(self.scopes)}"'
        return f"{bearer}{comma}{others}"
