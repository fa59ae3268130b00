"""Documents that others name, fetched without becoming their hands: no redirects, no cookies, small, soon over.

Only this file connects to addresses that others chose. What a stranger chose has to be public: names are resolved
here, and the connection goes to the very addresses that were looked at, so that a name cannot change in between.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from ssl import SSLContext
from typing import Any, Final

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from gateway.errors import GatewayError

LARGEST_BYTES: Final = 64 * 1024
_OK: Final = 200
_CONNECT_SECONDS: Final = 3
_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}

# They hold an IPv4 address that decides where a packet goes: IPv4-compatible ones, NAT64, 6to4 and Teredo.
_TRANSLATED: Final = tuple(
    ip_network(each) for each in ("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
)
# Of their own: a name's server decides for how long a thread is held, and the loop's look up everybody's names.
_THREADS: Final = ThreadPoolExecutor(8, thread_name_prefix="names of strangers")


class FetchFailed(GatewayError):
    """The document could not be had; the message is for the log."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered to a request: its status and the JSON document, None where there is none."""

    status: int
    document: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Door:
    """What opens an address beside its name: header fields (they may be secret), and authorities of its own."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    trusted: SSLContext | None = field(default=None, repr=False)


_PLAIN: Final = Door()


async def fetch_json(
    url: str, *, internal: bool, largest_bytes: int = LARGEST_BYTES, door: Door = _PLAIN, timeout_seconds: float = 5
) -> Any:
    """Return the JSON document at ``url``; ``internal`` lets it be on a network that is not public.

    Raises FetchFailed.
    """
    async with _asked("GET", url, internal=internal, door=door, timeout_seconds=timeout_seconds) as answer:
        if answer.status != _OK:
            raise FetchFailed(f"{answer.url.host} answered {answer.status}")
        return json.loads(await _body(answer, largest_bytes))


async def post_form(url: str, fields: Mapping[str, str], *, internal: bool) -> int:
    """Send a form to ``url`` and return the answer's status; its body is not read. Raises FetchFailed."""
    async with _asked("POST", url, internal=internal, data=dict(fields)) as answer:
        return answer.status


async def post_for_json(
    url: str,
    fields: Mapping[str, str],
    *,
    internal: bool,
    largest_bytes: int = LARGEST_BYTES,
    door: Door = _PLAIN,
    timeout_seconds: float = 5,
) -> Reply:
    """Send a form to ``url`` and return what was answered, whatever its status. Raises FetchFailed.

    The document of an answer that is no 200 is None where it is not JSON: such an answer need not have one.
    """
    async with _asked(
        "POST", url, internal=internal, data=dict(fields), door=door, timeout_seconds=timeout_seconds
    ) as answer:
        body = await _body(answer, largest_bytes)
        try:
            return Reply(answer.status, json.loads(body))
        except (ValueError, RecursionError):
            if answer.status == _OK:
                raise
            return Reply(answer.status, None)


async def _body(answer: ClientResponse, largest_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > largest_bytes:
            raise FetchFailed(f"{answer.url.host} sent more than {largest_bytes} bytes")
    return bytes(body)


@asynccontextmanager
async def _asked(
    method: str,
    url: str,
    *,
    internal: bool,
    data: dict[str, str] | None = None,
    door: Door = _PLAIN,
    timeout_seconds: float = 5,
) -> AsyncIterator[ClientResponse]:
    """Send one request, and tell whatever goes wrong as FetchFailed."""
    try:
        target = URL(url)
        host = target.host or ""
        if not internal and _is_literal(host) and not is_public(host):  # a literal never meets the resolver
            raise FetchFailed(f"{host} is not a public address")
        resolver: AbstractResolver = ThreadedResolver() if internal else PublicResolver()
        trusted: SSLContext | bool = door.trusted or True
        async with (
            ClientSession(
                connector=TCPConnector(resolver=resolver, use_dns_cache=False, force_close=True, ssl=trusted),
                timeout=ClientTimeout(total=timeout_seconds, connect=min(timeout_seconds, _CONNECT_SECONDS)),
                cookie_jar=DummyCookieJar(),
                trust_env=False,  # a proxy would look names up by itself
                auto_decompress=False,  # what is small may not be so any more
            ) as session,
            session.request(
                method, target, allow_redirects=False, headers={**_HEADERS, **door.headers}, data=data
            ) as answer,
        ):
            yield answer
    except (ClientError, OSError, TimeoutError, ValueError, RecursionError) as error:
        raise FetchFailed(f"it could not be fetched: {type(error).__name__}") from error


class PublicResolver(AbstractResolver):
    """Resolves names to public addresses; one that also has another address resolves to nothing."""

    def __init__(self, resolver: AbstractResolver | None = None) -> None:
        self._resolver = resolver or _OwnThreads()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if not found or not all(is_public(each["host"]) for each in found):
            raise OSError(f"{host} is not a public address")
        return found

    async def close(self) -> None:
        await self._resolver.close()


class _OwnThreads(AbstractResolver):
    """Asks the system for a name's addresses, in threads that nothing else waits for."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        ask = partial(
            socket.getaddrinfo, host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
        found = await asyncio.get_running_loop().run_in_executor(_THREADS, ask)
        numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            ResolveResult(hostname=host, host=str(at[0]), port=int(at[1]), family=kind, proto=proto, flags=numeric)
            for kind, _, proto, _, at in found
        ]

    async def close(self) -> None:
        """There is nothing to close."""


def is_public(text: str) -> bool:
    """Tell whether an address is one that the whole internet reaches."""
    try:
        address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.version == 6 and any(address in network for network in _TRANSLATED):  # noqa: PLR2004
        return False
    if isinstance(address, IPv6Address) and address.is_site_local:
        return False
    return address.is_global and not address.is_multicast


def _is_literal(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
