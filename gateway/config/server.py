"""Where the gateway listens, whom it believes there, and what a client may cost."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, StrictBool, StrictInt

from gateway.config.scalars import Duration, Size, parse_duration, parse_size
from gateway.config.section import Section
from gateway.config.values import FilePath, Listen, OneOrMore, Origin, PortalPrefix, TrustedProxy


class Limits(Section):
    """What one client, and one request, may cost."""

    header_bytes: Size = Field(parse_size("32KiB"), ge=1024, le=1024 * 1024)
    """The largest request head; above it: 431."""
    body_bytes: Size = parse_size("100MiB")
    """The largest request body; above it: 413."""
    header_timeout: Duration = parse_duration("10s")
    """How long a request's head may take to arrive whole, and a TLS handshake; above it: 408."""
    idle_timeout: Duration = parse_duration("75s")
    """How long a client's connection may stay silent, and how long a client may take nothing of an answer."""
    body_rate: Size = parse_size("128B")
    """What must arrive of a request body each second, on average over `idle_timeout`; 0: any. Below it: 408."""
    connections: StrictInt = Field(10_000, ge=1, le=1_000_000)
    """Connections of clients at the same time; above it: 503. No address may hold more than are still free."""


class KeyPair(Section):
    """A certificate and its key."""

    cert_file: FilePath
    """The certificate with its chain, in PEM, the gateway's own first."""
    key_file: FilePath
    """Its private key, in PEM, without a passphrase."""


class Tls(KeyPair):
    """TLS on the addresses of `listen`, not on its unix sockets."""

    sni: Annotated[tuple[KeyPair, ...], OneOrMore] = ()
    """More certificates, for the host names that they hold; every other name gets the one above."""
    client_ca_file: FilePath | None = None
    """CA certificates: clients may present a certificate of theirs, and no connection is made with any other."""


class ClientCertificates(Section):
    """Whose a client's certificate is, on routes that list `client_certificate`."""

    user_from: Literal["san_email", "san_uri", "san_dns", "subject_cn"] = "san_email"
    """What names the user: `san_email` an account's verified e-mail address, the others its username, exactly."""
    strip_prefix: str = ""
    """What the name must begin with, and is taken off it, such as `spiffe://example.com/user/`."""


class Server(Section):
    """Where the gateway listens and how the world reaches it."""

    listen: Annotated[tuple[Listen, ...], OneOrMore] = Field(("127.0.0.1:8080",), min_length=1)
    """Addresses to listen on: `ADDRESS:PORT` or `unix:/path`."""
    internal_listen: Listen | None = "127.0.0.1:9180"
    """Where `/healthz`, `/readyz` and `/metrics` are answered; null: nowhere."""
    public_url: Origin = "http://localhost:8080"
    """Where people reach the gateway's own pages and API: scheme, host and port."""
    prefix: PortalPrefix = ""
    """A path before the gateway's own pages, where their host is shared with an application."""
    workers: Literal[1] = 1
    """Processes that serve."""
    trusted_proxies: Annotated[tuple[TrustedProxy, ...], OneOrMore] = ()
    """Networks whose X-Forwarded-* and X-Original-* fields are believed; `unix`: whoever comes by a unix socket."""
    proxy_protocol: StrictBool = False
    """Every connection begins with a PROXY protocol header (version 1 or 2), sent by a trusted proxy."""
    tls: Tls | None = None
    """Speak TLS here; without it something in front does, or nobody."""
    limits: Limits = Limits()
    """What one client, and one request, may cost."""
    drain_timeout: Duration = parse_duration("30s")
    """How long requests under way may take to finish when the gateway is told to stop."""

    @property
    def public_host(self) -> str:
        """The portal's host: lower case, without port."""
        return (urlsplit(self.public_url).hostname or "").rstrip(".")

    @property
    def public_origin(self) -> str:
        """The portal's origin as browsers send it (RFC 6454 section 6.2)."""
        return self.public_url

    @property
    def secure(self) -> bool:
        """Whether people reach the gateway over TLS, which decides the cookies' names and flags."""
        return self.public_url.startswith("https:")
