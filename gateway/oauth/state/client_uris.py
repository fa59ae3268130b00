"""Addresses that a client registers. Only this file decides where an answer may ever be sent.

What is stored is what was given, to the letter: a redirect URI is compared as text (RFC 9700 section 2.1), so one that
two programs could read differently is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from gateway.errors import TargetRejected
from gateway.policy.host import parse_authority

LONGEST_URI: Final = 1024
_CHARACTERS: Final = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()+,;=%-]+")  # RFC 3986 section 2, without the asterisk
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DOT_SEGMENT: Final = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)
_PRIVATE_SCHEME: Final = re.compile(r"[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+")
# Programs whose scheme has no dot, and that people connect to servers for agents (Model Context Protocol).
_KNOWN_PROGRAMS: Final = frozenset({"cursor", "vscode", "vscode-insiders", "windsurf", "zed"})


def redirect_problem(uri: str) -> str | None:
    """Say what keeps ``uri`` from being one that a browser is sent to with an answer; None for nothing.

    https; http for the person's own machine (RFC 8252 section 7.3); a scheme of the application's own, which has a dot
    in it (section 7.1) or is that of a known program: everything else, javascript: and data: among them, is somebody
    else's.
    """
    parts, problem = _read(uri)
    if parts is None or problem:
        return problem
    if parts.scheme in {"https", "http"}:
        return _web_problem(parts)
    scheme = uri.partition(":")[0]
    if not _PRIVATE_SCHEME.fullmatch(scheme) and scheme not in _KNOWN_PROGRAMS:
        return "must begin with https://, or with a scheme of the application's own such as com.example.app:/"
    return None


def web_problem(uri: str, *, loopback: bool = False) -> str | None:
    """Say what keeps ``uri`` from being an https address, or with ``loopback`` http on the machine itself."""
    parts, problem = _read(uri)
    if parts is None or problem:
        return problem
    if parts.scheme != "https" and not loopback:
        return "must begin with https://"
    return _web_problem(parts)


def is_private(uri: str) -> bool:
    """Tell whether a URI that is good has a scheme of the application's own."""
    return uri.partition(":")[0].lower() not in {"https", "http"}


def hosts_of(uris: Iterable[str]) -> set[str]:
    """Return the hosts of URIs that are good; of one with a scheme of its own, the scheme."""
    return {f"{uri.partition(':')[0]}:" if is_private(uri) else _host(urlsplit(uri).netloc) for uri in uris}


def _read(uri: str) -> tuple[SplitResult | None, str | None]:
    problem = next((words for is_wrong, words in _WRONG if is_wrong(uri)), None)
    if problem:
        return None, problem
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None, "must be a URI"
    if not parts.scheme:
        return None, "must be absolute: it begins with https://"
    if "@" in parts.netloc:
        return None, "must not hold a user or password"
    return parts, "must not have . or .. in its path" if _DOT_SEGMENT.search(parts.path) else None


_WRONG: Final[tuple[tuple[Callable[[str], bool], str], ...]] = (
    (lambda uri: not 0 < len(uri) <= LONGEST_URI, f"must have 1 to {LONGEST_URI} characters"),
    (lambda uri: "*" in uri, "must not have a wildcard: each address is registered to the letter"),
    (lambda uri: not _CHARACTERS.fullmatch(uri), "must be a URI: no spaces, no other characters than ASCII"),
    (lambda uri: _BAD_ESCAPE.search(uri) is not None, "must have two hexadecimal digits after each %"),
    (lambda uri: "#" in uri, "must not have a fragment"),
)


def _web_problem(parts: SplitResult) -> str | None:
    if parts.scheme not in {"https", "http"}:
        return "must begin with https://"
    try:
        host = _host(parts.netloc)
    except TargetRejected:
        return "must name a host"
    if parts.scheme == "http" and not _is_loopback(host):
        return "must begin with https://: http is for localhost, 127.0.0.1 and [::1] only"
    return None


def _host(authority: str) -> str:
    return parse_authority(authority)[0]


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
