"""Whom failures are counted for: an account under all its names, an address, a network, a device. All are opaque."""

from __future__ import annotations

import hashlib
import ipaddress
import math
from datetime import datetime
from typing import Final

from gateway.accounts.user import LONGEST_NAME, User, name_key

_NETWORK_BITS: Final = {4: 24, 6: 48}


def account_subject(name: str, user: User | None) -> str:
    """Return one subject for every spelling of an account's names; names that do not exist have one alike."""
    return f"account:{user.id}" if user is not None else name_subject(name)


def name_subject(name: str) -> str:
    """Return the subject of a name as somebody typed it."""
    # Nobody's name is longer; and whoever tries one that is gets no long work done.
    digest = hashlib.sha256(name_key(name[:LONGEST_NAME]).encode("utf-8", "surrogatepass")).hexdigest()
    return f"name:{digest}"


def device_subject(device_id: str) -> str:
    """Return the subject of a browser that an account has signed in with before."""
    return f"device:{device_id}"


def address_subject(address: str) -> str:
    """Return the subject of an address; an IPv6 host owns its /64."""
    parsed = _parsed(address)
    if parsed is None:
        return "address:unknown"
    if parsed.version == 6:  # noqa: PLR2004 - the version
        return f"address:{ipaddress.ip_network((parsed.packed, 64), strict=False)}"
    return f"address:{parsed}"


def network_subject(address: str) -> str:
    """Return the subject of an address's neighbourhood: an IPv4 /24, an IPv6 /48, as one customer is given."""
    parsed = _parsed(address)
    if parsed is None:
        return "network:unknown"
    bits = _NETWORK_BITS[parsed.version]
    return f"network:{ipaddress.ip_network((parsed.packed, bits), strict=False)}"


def seconds_until(moment: datetime, now: datetime) -> int:
    """Return for how many seconds somebody has to wait, at least one."""
    return max(1, math.ceil((moment - now).total_seconds()))


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed
