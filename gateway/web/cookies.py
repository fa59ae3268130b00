"""The cookies of the pages: their names and attributes, in one table for all that set, read and delete them."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Final

from aiohttp import web

from gateway.accounts.sessions import session_cookie_name

_VALUE: Final = r"[A-Za-z0-9_-]{43}"  # 32 bytes as base64url: the only form that we give out


@dataclass(frozen=True, slots=True)
class Cookie:
    """One cookie of ours: HttpOnly, SameSite=Lax, whole host, no Domain; Secure wherever the portal is."""

    name: str
    secure: bool

    def read(self, request: web.BaseRequest) -> str | None:
        """Return the value when there is exactly one, of our form.

        Of two, a sibling host or path has planted one, and which cannot be told.
        """
        pattern = re.compile(rf"(?:^|;)[ \t]*{re.escape(self.name)}=([^;]*)")
        values = [value for line in request.headers.getall("Cookie", ()) for value in pattern.findall(line)]
        if len(values) != 1 or not re.fullmatch(_VALUE, values[0].strip(" \t")):
            return None
        return str(values[0].strip(" \t"))

    def set(self, response: web.StreamResponse, value: str, max_age_seconds: int | None = None) -> None:
        """Set the cookie, until the browser closes unless ``max_age_seconds`` is given."""
        response.set_cookie(
            self.name,
            value,
            max_age=max_age_seconds,
            path="/",
            secure=self.secure,
            httponly=True,
            samesite="Lax",
        )

    def delete(self, response: web.StreamResponse) -> None:
        """Delete the cookie, with its attributes: browsers ignore a deletion of ``__Host-`` without Secure."""
        response.del_cookie(self.name, path="/", secure=self.secure, httponly=True, samesite="Lax")


@dataclass(frozen=True, slots=True)
class Cookies:
    """All of them. ``form`` ties a form to a browser that is not signed in, ``nonce`` a hand-over to one.

    ``pending`` is a login that waits for its second factor, ``device`` a browser that has signed in before,
    ``provider`` ties a sign-in with another provider to the browser that began it.
    """

    session: Cookie
    form: Cookie
    nonce: Cookie
    pending: Cookie
    device: Cookie
    provider: Cookie

    @classmethod
    def named(cls, *, secure: bool) -> Cookies:
        session = session_cookie_name(secure=secure)
        return cls(
            *(
                Cookie(f"{session}{suffix}", secure)
                for suffix in ("", "-form", "-nonce", "-login", "-device", "-provider")
            )
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all, which no application sees."""
        return tuple(getattr(self, each.name).name for each in fields(self))
