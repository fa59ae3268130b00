"""One spelling for each host: lower case, no port, no trailing dot, IPv6 compressed and in brackets."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from gateway.errors import TargetRejected

MAX_PORT: Final = 65535
_MAX_NAME: Final = 253  # RFC 1035 section 2.3.4, as text
_CACHE_SIZE: Final = 1024

# Percent-encoding (RFC 3986 allows it in a reg-name) is refused: resolvers and upstreams differ on it.
# No possessive group around what can backtrack: before 3.11.5 Python takes too much with it (gh-106052), here the
# trailing dot. Labels hold no dot, so there is nothing to backtrack into.
_AUTHORITY: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]{2,45})\]"
    r"|(?P<name>[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*)\.?)"
    r"(?P<port>:.*)?",
    re.DOTALL,
)
_PORT: Final = re.compile(r":(0|[1-9][0-9]{0,4})", re.ASCII)
# What was read before. Bounded by emptying: a client that fills it costs others one parse each.
_known: dict[str, tuple[str, int | None]] = {}


def parse_authority(text: str) -> tuple[str, int | None]:
    """Read ``host[:port]`` (RFC 9110 section 7.2) into the host's one spelling and the port as given.

    Raises TargetRejected.
    """
    known = _known.get(text)
    if known is not None:
        return known
    parsed = _parse(text)
    if len(_known) >= _CACHE_SIZE:
        _known.clear()
    _known[text] = parsed
    return parsed


def parse_host(text: str) -> str:
    """Return the one spelling of a host given without a port. Raises TargetRejected."""
    host, port = parse_authority(text)
    if port is not None:
        raise TargetRejected("bad_host")
    return host


def host_matches(pattern: str, host: str) -> bool:
    """Tell whether a host is the one a route names, or stands below its ``*.example.com``, at any depth."""
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    return host == pattern


def _parse(text: str) -> tuple[str, int | None]:
    if "@" in text:
        raise TargetRejected("userinfo")
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise TargetRejected("bad_host")
    name = match["name"]
    if name is None:
        host = _ipv6(match["ipv6"])
    elif len(name) > _MAX_NAME:
        raise TargetRejected("bad_host")
    else:
        host = name.lower()
    return host, None if match["port"] is None else _port(match["port"])


def _ipv6(text: str) -> str:
    try:
        return f"[{ipaddress.IPv6Address(text).compressed}]"
    except ValueError as error:
        raise TargetRejected("bad_host") from error


def _port(text: str) -> int:
    match = _PORT.fullmatch(text)
    port = 0 if match is None else int(match[1])
    if not 0 < port <= MAX_PORT:
        raise TargetRejected("bad_port")
    return port
