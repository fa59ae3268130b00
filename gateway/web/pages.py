"""Pages: drawn from templates with everything escaped, self-contained, never cached, under a strict policy.

Only this file sets the headers of pages. A page loads nothing: its style and its few lines of script are in it,
let in by a nonce that is new for each response, so it looks right on any host.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gateway.config.settings import Settings
from gateway.errors import TargetRejected
from gateway.policy.challenge import login_url
from gateway.problem import Problem
from gateway.translation import words
from gateway.translation.catalogs import choose
from gateway.web.error_words import ErrorWords, words_for
from gateway.web.field_words import said
from gateway.web.moments import days, exact, moment
from gateway.web.return_to import Destination, ReturnTo
from gateway.web.visit import Visits

_HERE: Final = Path(__file__).parent
_NONCE_BYTES: Final = 16

# What every page answers with besides its policy. Referrers stay on our own origin (no-referrer would make
# browsers send `Origin: null` with our forms); a page opened by others cannot be reached through its opener.
_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Robots-Tag": "noindex, nofollow",
}


@dataclass(frozen=True, slots=True)
class Action:
    """What a person can do next: one link. A quiet one is offered, not advised."""

    label: str
    url: str
    quiet: bool = False


class Pages:
    """Draws every page of the gateway."""

    def __init__(self, settings: Settings, visits: Visits, return_to: ReturnTo) -> None:
        self._prefix = settings.server.prefix
        self.portal_base = settings.server.public_origin + self._prefix
        self._visits = visits
        self._return_to = return_to
        self._environment = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        # Values are escaped before they are put into a message: what catalogues say is markup, what people say is not.
        self._environment.install_gettext_callables(  # type: ignore[attr-defined]  # by the extension
            lambda message: words.current().gettext(message),
            lambda one, many, count: words.current().ngettext(one, many, count),
            newstyle=True,
        )
        self._environment.filters.update(moment=moment, exact=exact, days=days, say=words.text, said=said)
        self._environment.globals.update(
            brand=settings.branding.name,
            style=_own_file("style.css"),
            console_style=_own_file("console.css"),
            register_open=settings.registration.enabled,
            remember_for=settings.sessions.remember_for.total_seconds(),
            password_min_length=settings.passwords.min_length,
        )
        for name in self._environment.list_templates(extensions=["html"]):
            self._environment.get_template(name)  # a broken template stops the start, not a login

    def path(self, page: str, destination: Destination | None = None, **more: str) -> str:
        """Return the path of a page of the portal; it passes on where the person is going."""
        query = {"rd": destination.url} if destination is not None else {}
        pairs = "&".join(f"{name}={quote(value, safe='')}" for name, value in {**query, **more}.items())
        return f"{self._prefix}/{page}" + (f"?{pairs}" if pairs else "")

    def portal(self, page: str, destination: Destination | None = None, **more: str) -> str:
        """Return the absolute URL of a page of the portal, for links on other hosts."""
        return self.portal_base + self.path(page, destination, **more).removeprefix(self._prefix)

    def render(
        self,
        name: str,
        *,
        status: int = 200,
        leads_to: Collection[str] = (),
        fetches: bool = False,
        **values: Any,
    ) -> web.Response:
        """Draw a page. ``leads_to`` are the sources where its form may end after redirects.

        ``fetches`` lets its script ask our own origin for something.
        """
        nonce = secrets.token_urlsafe(_NONCE_BYTES)
        text = self._environment.get_template(f"{name}.html").render(
            nonce=nonce, language=words.current().tag, **values
        )
        headers = {**_HEADERS, "Content-Security-Policy": content_security_policy(nonce, leads_to, fetches=fetches)}
        return web.Response(status=status, text=text, content_type="text/html", charset="utf-8", headers=headers)

    def error_page(
        self, problem: Problem, request_id: str, request: web.BaseRequest, *, retry: str | None = None
    ) -> web.Response:
        """Answer a person's browser with the problem in words, a way on, and the reference.

        ``retry`` is where "Try again" leads when that is not the page itself.
        """
        speak_to(request)
        said = words_for(problem)
        response = self.render(
            "error",
            status=problem.status,
            heading=said.heading,
            sentence=said.sentence,
            actions=[Action(words.later("Try again"), retry)] if retry else self._actions(said, request),
            request_id=request_id,
        )
        response.headers.update(problem.headers)
        response.headers["X-Request-Id"] = request_id
        return response

    def _actions(self, said: ErrorWords, request: web.BaseRequest) -> list[Action]:
        here = self._here(request)
        if here is None:
            return []
        if said.way_on == "retry" and request.method in {"GET", "HEAD"}:
            return [Action(words.later("Try again"), here)]
        if said.way_on == "sign_in":
            return [Action(words.later("Sign in"), login_url(self.portal_base, here))]
        if said.way_on == "switch":
            destination = self._return_to.read(here)
            return [Action(words.later("Use another account"), self.portal("logout", destination), quiet=True)]
        return []

    def _here(self, request: web.BaseRequest) -> str | None:
        try:
            host = self._visits.of(request).host
        except TargetRejected:
            return None
        if request.method not in {"GET", "HEAD"}:
            return f"{self._return_to.origin(host)}/"
        return self._return_to.origin(host) + self._return_to.path_on(host, request.raw_path)


def speak_to(request: web.BaseRequest) -> None:
    """Speak the language that the browser asks for, until the request is answered."""
    words.speak(choose("", request.headers.get("Accept-Language", "")))


def content_security_policy(nonce: str, leads_to: Collection[str] = (), *, fetches: bool = False) -> str:
    """Return the policy of one page.

    Chromium and Safari apply form-action to every redirect after a form, so the origins that this form leads
    to are named; naming all hosts would tell strangers which there are.
    """
    form_action = " ".join(("'self'", *leads_to))
    connect = "connect-src 'self'; " if fetches else ""
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; {connect}"
        f"form-action {form_action}; base-uri 'none'; frame-ancestors 'none'"
    )


def redirect(url: str, *, status: int = 303) -> web.Response:
    """Send the browser on. The body is empty: nothing needs it."""
    headers = {"Location": url, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return web.Response(status=status, headers=headers)


def _own_file(name: str) -> Markup:
    return Markup((_HERE / name).read_text(encoding="utf-8"))  # noqa: S704 - our own file
