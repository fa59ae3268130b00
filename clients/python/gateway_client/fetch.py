"""Asks the gateway for its keys: no redirect is followed, no proxy used, and neither time nor size is without bound."""

from __future__ import annotations

import http.client
import ipaddress
import ssl
import time
import urllib.request
from typing import Final
from urllib.error import URLError
from urllib.parse import urlsplit

from gateway_client.errors import KeysUnavailable

_LARGEST_BYTES: Final = 256 * 1024
_CHUNK_BYTES: Final = 16 * 1024
_OK: Final = 200


def fetch(url: str, timeout_seconds: float, tls: ssl.SSLContext | None = None, host: str = "") -> bytes:
    """Return what the gateway answers, asked by the name ``host`` if that is given. Raises KeysUnavailable."""
    # Keys decide who is believed, so only handlers that ask the address itself: what `urlopen` adds would follow
    # redirects, read files, and take a proxy from the environment.
    opener = urllib.request.OpenerDirector()
    opener.add_handler(urllib.request.HTTPHandler())
    opener.add_handler(urllib.request.HTTPSHandler(context=tls or ssl.create_default_context()))
    deadline = time.monotonic() + timeout_seconds
    headers = {"Accept": "application/json", **({"Host": host} if host else {})}
    try:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the opener knows HTTP alone
        response = opener.open(request, timeout=timeout_seconds)
        if response is None:
            raise KeysUnavailable(f"{url} is no http address")
        with response:
            if response.status != _OK:
                raise KeysUnavailable(f"{url} answered {response.status}")
            return _read(response, deadline)
    except (OSError, URLError, http.client.HTTPException, ValueError) as error:
        raise KeysUnavailable(f"{url}: {error}") from error


def _read(response: http.client.HTTPResponse, deadline: float) -> bytes:
    content = bytearray()
    while chunk := response.read1(_CHUNK_BYTES):
        content += chunk
        if len(content) > _LARGEST_BYTES:
            raise KeysUnavailable(f"more than {_LARGEST_BYTES} bytes of keys")
        if time.monotonic() > deadline:
            raise KeysUnavailable("the keys come too slowly")
    return bytes(content)


def is_safe(url: str) -> bool:
    """Tell whether nobody on the way can put keys of their own in place of those asked for."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        return bool(host)
    if parts.scheme != "http":
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
