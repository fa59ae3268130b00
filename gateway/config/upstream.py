"""Settings of upstreams: which servers, how one of them is chosen, and what they may cost."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt

from gateway.config.scalars import Duration, parse_duration
from gateway.config.section import Section
from gateway.config.values import Authority, FilePath, OneOrMore, ProbePath, ServerAddress, ServerName


class UpstreamTimeouts(Section):
    """How long an upstream may take."""

    connect: Duration = parse_duration("2s")
    """The longest wait for a connection."""
    response: Duration = parse_duration("60s")
    """The longest wait for the response's head."""
    idle: Duration = parse_duration("90s")
    """The longest silence after it."""
    websocket: Duration = parse_duration("1h")
    """The longest silence on a WebSocket."""


class HealthCheck(Section):
    """Requests of the gateway's own that tell whether a server works."""

    path: ProbePath
    """What is asked for, with GET; an answer below 400 is good."""
    interval: Duration = parse_duration("5s")
    """The time between two checks of a server."""
    timeout: Duration = parse_duration("2s")
    """The longest wait for the answer."""
    unhealthy_after: StrictInt = Field(3, ge=1, le=100)
    """So many failures in a row take a server out."""
    healthy_after: StrictInt = Field(2, ge=1, le=100)
    """So many good answers in a row bring it back."""
    host: Authority | None = None
    """The Host that is sent, for applications that know only their public name; otherwise the server's own."""


class Ejection(Section):
    """When a server that fails requests is left alone for a while."""

    failures: StrictInt = Field(5, ge=0, le=1000)
    """So many failures in a row (no connection, no valid answer in time, 502, 503 or 504); 0: never."""
    duration: Duration = parse_duration("10s")
    """How long it is left alone; each time without a success between, so much longer, at most ten times."""


class UpstreamLimits(Section):
    """How much is asked of an upstream at a time."""

    connections: StrictInt = Field(20_000, ge=1, le=60_000)
    """Requests and WebSockets to each server at a time."""
    queue: StrictInt = Field(1000, ge=0, le=100_000)
    """Requests that may wait for a server to have room; beyond: 503."""
    queue_timeout: Duration = parse_duration("5s")
    """How long one may wait; after that: 503."""


class UpstreamTls(Section):
    """How servers with an https URL are spoken to."""

    ca_file: FilePath | None = None
    """Certificates to trust in place of the system's, in PEM."""
    cert_file: FilePath | None = None
    """The gateway's own certificate for the servers, in PEM, with what it is signed by."""
    key_file: FilePath | None = None
    """The certificate's private key."""
    server_name: ServerName | None = None
    """The name in the servers' certificates, when it is not the URL's host."""
    insecure_skip_verify: StrictBool = False
    """Trust any certificate: whoever can intercept connections to the servers reads and answers every request."""


class Upstream(Section):
    """A named pool of servers."""

    servers: Annotated[tuple[ServerAddress, ...], OneOrMore] = Field(min_length=1)
    """URLs of scheme, host and port, or `unix:/path`; a host with several addresses is tried at each."""
    balance: Literal["round_robin", "least_requests", "hash_ip"] = "round_robin"
    """How one of several servers is chosen: in turn; the one with the fewest requests; by the client's address."""
    health_check: HealthCheck | None = None
    """Requests of the gateway's own that tell whether a server works."""
    ejection: Ejection = Ejection()
    """When a server that fails requests is left alone for a while."""
    slow_start: Duration = parse_duration("10s")
    """How long a server that comes back is given fewer requests than the others."""
    limits: UpstreamLimits = UpstreamLimits()
    """How much is asked of an upstream at a time."""
    resolve_every: Duration = parse_duration("30s")
    """How often the servers' names are looked up."""
    tls: UpstreamTls = UpstreamTls()
    """How servers with an https URL are spoken to."""
    timeouts: UpstreamTimeouts = UpstreamTimeouts()
    """How long an upstream may take."""
