"""What an issuer says of itself (OpenID Connect Discovery 1.0 sections 3 and 4, RFC 8414), kept for an hour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from yarl import URL

from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.federation.kept import Kept, Unreadable
from gateway.federation.key_sets import Fetch
from gateway.federation.signatures import ALGORITHMS
from gateway.outbound import fetch_json

_KEPT_SECONDS: Final = 3600.0
_LONGEST_URL: Final = 2048
# OpenID Connect Discovery 1.0 section 3: RS256 is what everybody has.
_DEFAULT_ALGORITHMS: Final = frozenset({"RS256"})


class IssuerUnknown(GatewayError):
    """Nothing usable is published by this issuer; why is in the log."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is used of an issuer's metadata. An address that it does not publish is None.

    ``algorithms`` are those of its ID tokens that may be used here; ``token_auth_methods`` how clients may prove
    themselves at its token endpoint.
    """

    issuer: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    jwks_uri: str | None = None
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    introspection_endpoint: str | None = None
    algorithms: frozenset[str] = _DEFAULT_ALGORITHMS
    token_auth_methods: frozenset[str] = frozenset({"client_secret_basic"})
    iss_parameter_supported: bool = False


_ENDPOINTS: Final = (
    "authorization_endpoint",
    "token_endpoint",
    "jwks_uri",
    "userinfo_endpoint",
    "end_session_endpoint",
    "introspection_endpoint",
)


class Discoveries:
    """Metadata by issuer."""

    def __init__(self, clock: Clock, fetch: Fetch = fetch_json) -> None:
        self._fetch = fetch
        self._known: Kept[Metadata] = Kept(clock, _KEPT_SECONDS)

    async def of(self, issuer: str, *, internal: bool, url: str | None = None) -> Metadata:
        """Return the metadata of ``issuer``, to the letter. ``url`` is where it is, if not at the usual address.

        ``internal`` lets that be on a network that is not public. Raises IssuerUnknown.
        """
        where = url or f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        name = f"the metadata of {issuer} at {where}{' (internal)' if internal else ''}"
        found = await self._known.get(name, partial(self._read, issuer, where, internal=internal))
        if found is None:
            raise IssuerUnknown(issuer)
        return found

    async def stop(self) -> None:
        """Give up what is being asked."""
        await self._known.stop()

    async def _read(self, issuer: str, where: str, *, internal: bool) -> Metadata:
        return read_metadata(await self._fetch(where, internal=internal), issuer, internal=internal)


def read_metadata(document: object, issuer: str, *, internal: bool) -> Metadata:
    """Return what is used of a document. Raises Unreadable."""
    if not isinstance(document, Mapping):
        raise Unreadable("it is no JSON object")
    # Section 4.3: to the letter, or whoever serves this address could speak for another issuer.
    if document.get("issuer") != issuer:
        raise Unreadable("it names another issuer")
    addresses = {name: _address(document, name, internal=internal) for name in _ENDPOINTS}
    named = _names(document, "id_token_signing_alg_values_supported")
    methods = _names(document, "token_endpoint_auth_methods_supported")
    return Metadata(
        issuer=issuer,
        **addresses,
        algorithms=named & ALGORITHMS if named is not None else _DEFAULT_ALGORITHMS,
        token_auth_methods=methods if methods is not None else frozenset({"client_secret_basic"}),
        iss_parameter_supported=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _address(document: Mapping[str, Any], name: str, *, internal: bool) -> str | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not is_address(value, internal=internal):
        raise Unreadable(f"its {name} is no address to use")
    return value


def is_address(value: str, *, internal: bool) -> bool:
    """Tell whether ``value`` is the whole of an https address, or of an http one where that is inside."""
    if len(value) > _LONGEST_URL or not value.isascii() or not value.isprintable() or " " in value:
        return False
    try:
        url = URL(value)
        # A port that is none shows when it is asked for.
        has_port = url.port is not None
    except ValueError:
        return False
    schemes = {"https", "http"} if internal else {"https"}
    return url.scheme in schemes and bool(url.host) and has_port and url.user is None and not url.fragment


def _names(document: Mapping[str, Any], name: str) -> frozenset[str] | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise Unreadable(f"its {name} is no list of names")
    return frozenset(value)
