"""Opens connections to one server: TCP, TLS or a unix socket."""

from __future__ import annotations

import asyncio
import ssl
from abc import ABC, abstractmethod
from urllib.parse import urlsplit

from aiohttp.tcp_helpers import tcp_keepalive

from gateway.config.upstream import UpstreamTls
from gateway.errors import StartupError, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from gateway.proxy.connection import UpstreamConnection
from gateway.proxy.upstream.addresses import Addresses


class Connector(ABC):
    """``authority`` is the server's own Host field (RFC 9110 section 7.2)."""

    def __init__(self, url: str, authority: bytes) -> None:
        self.url = url
        self.authority = authority

    async def connect(self, seconds: float) -> UpstreamConnection:
        """Open a connection within so many seconds. Raises UpstreamUnreachable or UpstreamTimeout."""
        try:
            async with asyncio.timeout(seconds):
                return await self._open(asyncio.get_running_loop(), seconds)
        except TimeoutError as error:
            raise UpstreamTimeout("connect_timeout") from error

    @abstractmethod
    async def _open(self, loop: asyncio.AbstractEventLoop, seconds: float) -> UpstreamConnection:
        """Open a connection. Raises UpstreamUnreachable or UpstreamTimeout."""

    def leads_to(self, address: str) -> bool:  # noqa: ARG002 - most lead to one place
        """Tell whether an address is still the server's."""
        return True

    def refresh(self, now: float) -> None:  # noqa: B027 - most have nothing that changes
        """Look at what may have changed; ``now`` is by the loop's clock."""

    async def stop(self) -> None:  # noqa: B027 - most have nothing that runs on its own
        """End what runs on its own."""


class TcpConnector(Connector):
    """Tries each of a name's addresses."""

    def __init__(self, url: str, addresses: Addresses, port: int, tls: ssl.SSLContext | None, server_name: str) -> None:
        super().__init__(url, urlsplit(url).netloc.encode())
        self._addresses = addresses
        self._port = port
        self._tls = tls
        self._server_name = server_name if tls is not None else None

    async def _open(self, loop: asyncio.AbstractEventLoop, seconds: float) -> UpstreamConnection:
        end = loop.time() + seconds
        error: UpstreamError = UpstreamUnreachable("no_address")
        addresses = await self._addresses.in_order()
        for index, address in enumerate(addresses):
            try:
                # An address that swallows packets must leave some time to the others.
                async with asyncio.timeout((end - loop.time()) / (len(addresses) - index)):
                    connection = await self._open_at(loop, address)
            except TimeoutError:
                error = UpstreamTimeout("connect_timeout")
            except UpstreamUnreachable as failure:
                error = failure
            else:
                self._addresses.succeeded(address)
                return connection
            self._addresses.failed(address)
        raise error

    async def _open_at(self, loop: asyncio.AbstractEventLoop, address: str) -> UpstreamConnection:
        try:
            _, connection = await loop.create_connection(
                lambda: UpstreamConnection(loop, self.authority, address),
                address,
                self._port,
                ssl=self._tls,
                server_hostname=self._server_name,
            )
        except ssl.SSLError as error:
            raise UpstreamUnreachable("tls_failed") from error
        except OSError as error:
            raise UpstreamUnreachable("connect_failed") from error
        if connection.transport is not None:
            tcp_keepalive(connection.transport)  # a tunnel may be silent for hours, or its other end gone
        return connection

    def leads_to(self, address: str) -> bool:
        return address in self._addresses.known

    def refresh(self, now: float) -> None:
        self._addresses.refresh(now)

    async def stop(self) -> None:
        await self._addresses.stop()


class UnixConnector(Connector):
    """A server on a unix socket, which has no name of its own."""

    def __init__(self, url: str) -> None:
        super().__init__(url, b"localhost")
        self._path = url.removeprefix("unix:")

    async def _open(self, loop: asyncio.AbstractEventLoop, seconds: float) -> UpstreamConnection:  # noqa: ARG002
        try:
            _, connection = await loop.create_unix_connection(
                lambda: UpstreamConnection(loop, self.authority, self._path), self._path
            )
        except OSError as error:
            raise UpstreamUnreachable("connect_failed") from error
        return connection


def connector(url: str, tls: UpstreamTls, resolve_seconds: float, context: ssl.SSLContext | None) -> Connector:
    """Return what opens connections to ``url``; ``context`` is for https."""
    if url.startswith("unix:"):
        return UnixConnector(url)
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    addresses = Addresses(host, port, resolve_seconds)
    return TcpConnector(url, addresses, port, context if secure else None, tls.server_name or host)


def client_context(name: str, tls: UpstreamTls) -> ssl.SSLContext:
    """Return how the servers of upstream ``name`` are verified. Raises StartupError that names the key to change."""
    key = "ca_file"
    try:
        context = ssl.create_default_context(cafile=str(tls.ca_file) if tls.ca_file is not None else None)
        key = "cert_file"
        if tls.cert_file is not None:
            # An encrypted key is refused; OpenSSL would ask for its password at the terminal.
            context.load_cert_chain(tls.cert_file, tls.key_file, password="")
    except OSError as error:
        raise StartupError(f"upstreams.{name}.tls.{key}: cannot be used: {_why(key, error)}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _why(key: str, error: OSError) -> str:
    if not isinstance(error, ssl.SSLError):  # OpenSSL names its own source lines
        return error.strerror or str(error)
    if key == "ca_file":
        return "it holds no certificates in PEM"
    return "certificate and key must be PEM and belong together, the key without a password"
