"""Whom a request comes from, and what a proxy in front may say about it.

Only this file decides whether an ``X-Forwarded-*`` field is believed: when the connection's peer is a
trusted proxy, and never otherwise. Lists are read from the right, because each hop appends there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final, NamedTuple

from gateway.errors import TargetRejected
from gateway.policy.fields import Headers
from gateway.policy.requirements import IPAddress

# The word among the trusted networks that stands for whoever connects to a unix socket.
UNIX_PEERS: Final = "unix"
_CACHE_SIZE: Final = 4096
_LONGEST_HOP: Final = 64  # an IPv6 address with zone and port; what is kept must not be long
# Traefik writes the WebSocket schemes for upgrades.
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


class ClientAddress(NamedTuple):
    """Where a request comes from. ``scheme`` and ``host`` are None unless a trusted proxy named them.

    ``address`` is empty and ``ip`` None when the peer is a unix socket that names no client. ``chain`` is what
    may stand in X-Forwarded-For: the client, then each trusted hop, without anything that the client wrote itself.
    """

    address: str
    ip: IPAddress | None
    scheme: str | None
    host: str | None
    chain: tuple[str, ...]
    trusted: bool


class _Hop(NamedTuple):
    ip: IPAddress
    text: str
    trusted: bool


class TrustedProxies:
    """The peers whose forwarding fields count."""

    def __init__(self, peers: Iterable[str] = ()) -> None:
        """``peers`` are networks, and ``unix`` where who may connect to a socket's file is trusted."""
        named = frozenset(peers)
        self._trusts_unix = UNIX_PEERS in named
        self._networks = tuple(ip_network(cidr) for cidr in named - {UNIX_PEERS})
        # Seen before; bounded by emptying.
        self._peers: dict[str | None, ClientAddress] = {}
        self._hops: dict[str, _Hop] = {}

    def client_of(self, peer: str | None, headers: Headers) -> ClientAddress:
        """Tell who the client is. ``peer`` is the socket's remote address, None or empty for a unix socket.

        Raises TargetRejected where a trusted proxy says something that cannot be read: no address would
        then be the right one to check.
        """
        known = self._peers.get(peer) or self._remember(peer)
        return self._through_proxy(known, headers) if known.trusted else known

    def trusts(self, peer: str | None) -> bool:
        """Tell whether ``peer`` is a trusted proxy. Raises TargetRejected for what is no address."""
        return (self._peers.get(peer) or self._remember(peer)).trusted

    def _remember(self, peer: str | None) -> ClientAddress:
        if not peer:
            client = ClientAddress("", None, None, None, (), trusted=self._trusts_unix)
        else:
            ip = _address(peer, "bad_peer")
            client = ClientAddress(str(ip), ip, None, None, (str(ip),), trusted=self._contains(ip))
        if len(self._peers) >= _CACHE_SIZE:
            self._peers.clear()
        self._peers[peer] = client
        return client

    def _contains(self, ip: IPAddress) -> bool:
        return any(ip in network for network in self._networks)

    def _through_proxy(self, peer: ClientAddress, headers: Headers) -> ClientAddress:
        ip, chain = peer.ip, [*peer.chain]
        for text in reversed(_members(headers.getall("X-Forwarded-For", ()))):
            hop = self._hops.get(text) or self._read_hop(text)
            ip = hop.ip
            chain.append(hop.text)
            if not hop.trusted:
                break
        chain.reverse()
        address = chain[0] if chain else ""  # a unix socket's peer need not say whom it speaks for
        return ClientAddress(address, ip, _scheme(headers), _host(headers), tuple(chain), trusted=True)

    def _read_hop(self, text: str) -> _Hop:
        if len(text) > _LONGEST_HOP:
            raise TargetRejected("bad_forwarded_for")
        ip = _address(_without_port(text), "bad_forwarded_for")
        hop = _Hop(ip, str(ip), self._contains(ip))
        if len(self._hops) >= _CACHE_SIZE:
            self._hops.clear()
        self._hops[text] = hop
        return hop


def _members(values: Sequence[str]) -> list[str]:
    """Return the members of a list field over all its lines (RFC 9110 section 5.6.1)."""
    if len(values) == 1 and "," not in values[0]:
        member = values[0].strip(" \t")
        return [member] if member else []
    members = [member.strip(" \t") for value in values for member in value.split(",")]
    return [member for member in members if member]


def _scheme(headers: Headers) -> str | None:
    members = _members(headers.getall("X-Forwarded-Proto", ()))
    if not members:
        return None
    scheme = _SCHEMES.get(members[-1].lower())
    if scheme is None:
        raise TargetRejected("bad_forwarded_proto")
    return scheme


def _host(headers: Headers) -> str | None:
    values = headers.getall("X-Forwarded-Host", ())
    if not values:
        return None
    members = _members(values)
    if not members:
        raise TargetRejected("bad_forwarded_host")
    return members[-1]


def _without_port(hop: str) -> str:
    """Return the address of ``192.0.2.1:1234`` or ``[2001:db8::1]:1234``, as some proxies write it."""
    if hop.startswith("["):
        address, bracket, rest = hop[1:].partition("]")
        whole = bool(bracket) and (not rest or (rest[0] == ":" and rest[1:].isdigit()))
        return address if whole else ""
    address, colon, port = hop.partition(":")
    return address if colon and "." in address and port.isdigit() else hop


def _address(text: str, reason: str) -> IPAddress:
    """Read an address into the one that rules name: without zone, an IPv4-mapped one as IPv4."""
    try:
        ip = ip_address(text.partition("%")[0])
    except ValueError as error:
        raise TargetRejected(reason) from error
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    return ip
