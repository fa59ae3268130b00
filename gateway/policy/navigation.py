"""Whether a request is a person's browser going to a page, who is sent to the login, or a program, who is told."""

from __future__ import annotations

import re
from typing import Final

from gateway.policy.fields import Headers

_HTML: Final = frozenset({"text/html", "application/xhtml+xml"})
_REFUSED: Final = re.compile(r"q\s*=\s*0(?:\.0{0,3})?", re.IGNORECASE)


def is_navigation(method: str, headers: Headers) -> bool:
    """Tell by Sec-Fetch-Mode where the browser sends it, else by what the request accepts."""
    modes = headers.getall("Sec-Fetch-Mode", ())
    if modes:
        return modes[0] == "navigate"
    if method not in {"GET", "HEAD"} or headers.getall("X-Requested-With", ()):
        return False
    return accepts_html(headers)


def accepts_html(headers: Headers) -> bool:
    """Tell whether HTML is asked for by name (RFC 9110 section 12.5.1); ``*/*`` is what programs send."""
    for value in headers.getall("Accept", ()):
        for member in value.split(","):
            media_type, *parameters = member.split(";")
            if media_type.strip().lower() in _HTML:
                return not any(_REFUSED.fullmatch(parameter.strip()) for parameter in parameters)
    return False


def redirect_status(method: str) -> int:
    """Return 302 where the method stays, 303 where the browser must come back with GET."""
    return 302 if method in {"GET", "HEAD"} else 303
