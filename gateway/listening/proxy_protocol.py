"""The PROXY protocol's header, versions 1 and 2, as HAProxy's proxy-protocol.txt defines them.

Strict: only a header that names one TCP client, or says that the proxy speaks for itself, is taken. Pure: bytes in,
an answer out; the sockets are elsewhere.
"""

from __future__ import annotations

import re
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from gateway.errors import GatewayError

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED: Final = struct.Struct(">12sBBH")
_LONGEST_V1: Final = 107  # section 2.1
# Section 2.2 knows no limit; what load balancers add (TLVs: their ids, what TLS said) stays below this.
_LONGEST_V2: Final = 4096
_PREFIX_V1: Final = b"PROXY "
_V1: Final = re.compile(rb"PROXY TCP([46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})")
_HIGHEST_PORT: Final = 65535
_LOCAL, _PROXY = 0x20, 0x21
# Family and protocol of section 2.2, with the length of one address; others name no TCP client.
_FAMILIES: Final = {0x11: (IPv4Address, 4), 0x21: (IPv6Address, 16)}
_PORTS_BYTES: Final = 4


class ProxyHeaderRejected(GatewayError):
    """What came is no header of the PROXY protocol that could be believed. ``reason`` is a fixed word."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class ProxyHeader(NamedTuple):
    """``length`` is in bytes. ``client`` is the client's address, None when the proxy speaks for itself (LOCAL)."""

    length: int
    client: str | None


def read_header(data: bytes) -> ProxyHeader | None:
    """Read the header that ``data`` begins with; None: more is needed. Raises ProxyHeaderRejected.

    Whatever is longer than the header is not looked at.
    """
    if data[: len(_SIGNATURE)] == _SIGNATURE[: len(data)]:
        return _read_v2(data)
    if data[: len(_PREFIX_V1)] == _PREFIX_V1[: len(data)]:
        return _read_v1(data)
    raise ProxyHeaderRejected("no_header")


def _read_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, _LONGEST_V1)
    if end < 0:
        # A lone CR or LF can only be the end of something else.
        body = data[:-1] if data.endswith(b"\r") else data
        if len(data) >= _LONGEST_V1 or b"\r" in body or b"\n" in body:
            raise ProxyHeaderRejected("malformed")
        return None
    match = _V1.fullmatch(data, 0, end)
    if match is None:  # PROXY UNKNOWN among them: whose the connection is must be known
        raise ProxyHeaderRejected("unknown_client" if data.startswith(b"PROXY UNKNOWN") else "malformed")
    kind: type[IPv4Address | IPv6Address] = IPv4Address if match[1] == b"4" else IPv6Address
    try:
        client, _ = kind(match[2].decode()), kind(match[3].decode())
    except ValueError as error:
        raise ProxyHeaderRejected("malformed") from error
    if max(int(match[4]), int(match[5])) > _HIGHEST_PORT:
        raise ProxyHeaderRejected("malformed")
    return ProxyHeader(end + 2, str(client))


def _read_v2(data: bytes) -> ProxyHeader | None:
    if len(data) < _FIXED.size:
        return None
    _, command, family, length = _FIXED.unpack_from(data)
    if command not in {_LOCAL, _PROXY}:
        raise ProxyHeaderRejected("malformed")
    if length > _LONGEST_V2:
        raise ProxyHeaderRejected("too_long")
    whole = _FIXED.size + length
    if command == _LOCAL:  # section 2.2: whatever it holds is skipped
        return ProxyHeader(whole, None) if len(data) >= whole else None
    if family not in _FAMILIES:
        raise ProxyHeaderRejected("unknown_client")
    kind, size = _FAMILIES[family]
    if length < 2 * size + _PORTS_BYTES:
        raise ProxyHeaderRejected("malformed")
    if len(data) < whole:
        return None
    return ProxyHeader(whole, str(kind(data[_FIXED.size : _FIXED.size + size])))
