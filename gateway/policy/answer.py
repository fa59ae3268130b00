"""What a route answers by itself, once a request may pass: a redirect, or fixed words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gateway.errors import TargetRejected
from gateway.policy.host import parse_authority
from gateway.policy.target import Target, parse_target

REDIRECT_STATUSES: Final = frozenset({301, 302, 303, 307, 308})
_PLACE: Final = re.compile(r"\{([^{}]*)\}")
_PLACES: Final = frozenset({"host", "path", "query"})
_PRINTABLE: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Redirect:
    """``to`` is a path or URL with ``{host}``, ``{path}`` and ``{query}`` (with its question mark) in it."""

    to: str
    status: int = 302

    def location(self, target: Target) -> str:
        """Return where ``target`` is sent. What is put in has been read strictly, and cannot name another host."""
        places = {
            "host": target.authority,
            "path": target.path,
            "query": "" if target.query is None else f"?{target.query}",
        }
        return _PLACE.sub(lambda place: places[place[1]], self.to)


@dataclass(frozen=True, slots=True)
class Respond:
    """``body`` is text."""

    status: int
    body: str = ""
    content_type: str = "text/plain"


def read_redirect(to: str) -> str:
    """Check a redirect's target as it is written in the configuration. Raises ValueError that says what is wrong."""
    if not _PRINTABLE.fullmatch(to):
        raise ValueError("must be a path or URL of printable ASCII characters without spaces")
    for place in _PLACE.findall(to):
        if place not in _PLACES:
            raise ValueError(f"{{{place}}} is none of {{host}}, {{path}} and {{query}}")
    if to == "{path}" or to.startswith(("{path}{query}", "{path}?")):
        raise ValueError("would lead a request to itself")
    if to.startswith("/"):
        if "{host}" in to:
            raise ValueError("{host} stands behind https:// or http:// only")
        _check_path(to)
        return to
    scheme, mark, rest = to.partition("://")
    if scheme not in {"http", "https"} or not mark:
        raise ValueError("must begin with /, http:// or https://")
    host, slash, path = _parted(rest)
    _check_host(host)
    if slash or path:
        _check_path(f"{slash}{path}")
    return to


def _parted(rest: str) -> tuple[str, str, str]:
    """Part the authority from what follows, which may begin with a placeholder that brings its own slash."""
    found = re.search(r"/|\{path\}|\{query\}", rest)
    if found is None:
        return rest, "", ""
    return (
        rest[: found.start()],
        "/" if found[0] == "/" else "",
        rest[found.end() if found[0] == "/" else found.start() :],
    )


def _check_host(host: str) -> None:
    if host == "{host}":
        return
    try:
        parse_authority(host)
    except TargetRejected as error:
        raise ValueError(f"{host!r} is no host ({error.reason}); {{host}} has to stand for the whole of it") from error


def _check_path(path: str) -> None:
    if "{path}" in path[1:] and not path.startswith("{path}") and "/{path}" in path:
        raise ValueError("{path} begins with a slash itself: /old{path}, not /old/{path}")
    for query in ("?query", ""):
        plain = path.replace("{path}", "/path").replace("{query}", query).partition("#")[0]
        try:
            parse_target("GET", plain if plain.startswith("/") else f"/{plain}", "redirect", "http")
        except TargetRejected as error:
            raise ValueError(f"is no path ({error.reason})") from error
