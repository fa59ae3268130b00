"""Listening sockets, bound or refused in words that name the key to change."""

from __future__ import annotations

import errno
import logging
import os
import resource
import socket
from pathlib import Path
from typing import Final

from gateway.errors import StartupError

_BACKLOG: Final = 1024
_log = logging.getLogger(__name__)
# What the kernel takes of an answer that it cannot send yet; what is on its way to the client is not limited by it.
# Without this a reader who takes nothing is given megabytes, all at once, while others wait.
_UNSENT_BYTES: Final = 128 * 1024


def listen(address: str, key: str) -> list[socket.socket]:
    """Bind ``ADDRESS:PORT`` or ``unix:/path``; a name may stand for several. Raises StartupError that names ``key``."""
    try:
        return [_unix(Path(address.removeprefix("unix:")))] if address.startswith("unix:") else _tcp(address)
    except OSError as error:
        reason = (
            "is in use by another program" if error.errno == errno.EADDRINUSE else f"cannot be bound: {_why(error)}"
        )
        raise StartupError(f"{address} {reason}; choose another address with {key}") from error


def allow_files(connections: int) -> None:
    """Raise the limit of open files to what the system allows, and say where that is not enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    wanted = 2 * connections  # the client's and the upstream's
    if hard != resource.RLIM_INFINITY and hard < wanted:
        _log.warning(
            "fewer files may be open than server.limits.connections takes", extra={"may": hard, "wanted": wanted}
        )


def _tcp(address: str) -> list[socket.socket]:
    host, _, port = address.rpartition(":")
    found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    opened: list[socket.socket] = []
    try:
        for family, place in dict.fromkeys((each[0], each[4]) for each in found):
            # For the loopback's name a machine without IPv6 has an address all the same.
            if opened and not _bindable(family):
                continue
            opened.append(socket.create_server((str(place[0]), int(place[1])), family=family, backlog=_BACKLOG))
            opened[-1].setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES
            )  # accepted ones inherit it
    except OSError:
        for each in opened:
            each.close()
        raise
    for each in opened:
        each.settimeout(0)
    return opened


def _bindable(family: socket.AddressFamily) -> bool:
    return family != socket.AF_INET6 or socket.has_dualstack_ipv6()


def _unix(path: Path) -> socket.socket:
    if path.is_socket():  # a killed process left it behind; nothing else is ever removed
        path.unlink()
    opened = socket.socket(socket.AF_UNIX)
    try:
        opened.bind(str(path))
        opened.listen(_BACKLOG)
    except OSError:
        opened.close()
        raise
    opened.settimeout(0)
    return opened


def _why(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
