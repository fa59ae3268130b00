"""The shell of console pages: a rail with the sections on wide screens, a menu on narrow ones, and the page beside it.

A page of a console is made of three things: a handler behind `SignedIn`, a template that extends ``console.html`` and
fills its ``title`` and ``content``, and a line in NAVIGATION:

    web.get(pages.path("account/things"), signed_in(self.show))

    async def show(self, request: web.Request, visitor: Visitor) -> web.Response:
        return self._console.render("things", visitor, "account/things", things=..., notice=...)

Templates find ``now`` (for ``{{ at | moment(now) }}``) and ``csrf_token`` when the page names its ``form``. Tables of
class ``rows`` turn into cards on a phone when each ``td`` says its heading in ``data-label``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from gateway.clock import Clock
from gateway.translation.words import later
from gateway.web.pages import Pages
from gateway.web.signed_in import SignedIn, Visitor


@dataclass(frozen=True, slots=True)
class Section:
    """One line of the rail. ``page`` is its path on the portal; pages below it belong to it as well.

    ``about`` says on the first page what is there.
    """

    page: str
    label: str
    about: str = ""
    for_admins: bool = False


NAVIGATION: Final = (
    Section("account", later("Overview")),
    Section("account/profile", later("Profile"), later("Your name, username, e-mail address and language")),
    Section("account/password", later("Password"), later("A new one signs you out everywhere else")),
    Section(
        "account/security",
        later("Sign-in security"),
        later("Authenticator apps and recovery codes, beside your password"),
    ),
    Section("account/logins", later("Linked accounts"), later("Accounts elsewhere that open your account here")),
    Section("account/sessions", later("Sessions"), later("Where you are signed in, and how to sign out there")),
    Section("account/tokens", later("API tokens"), later("For programs that act in your name")),
    Section(
        "account/applications",
        later("Connected applications"),
        later("What uses your account, and how to take it back"),
    ),
    Section("account/clients", later("Your OAuth clients"), later("Applications of your own that people sign in to")),
    Section("account/data", later("Your data"), later("Take a copy of it, or delete your account")),
    Section("admin/users", later("Users"), later("Everybody's accounts, roles and sessions"), for_admins=True),
    Section(
        "admin/clients", later("All OAuth clients"), later("What everybody's applications may do here"), for_admins=True
    ),
)


class Console:
    """Draws pages in the shell."""

    def __init__(self, pages: Pages, signed_in: SignedIn, clock: Clock, absent: frozenset[str] = frozenset()) -> None:
        """``absent`` are the sections that this configuration has no use for."""
        self._absent = absent
        self._pages = pages
        self._signed_in = signed_in
        self._clock = clock

    def render(
        self,
        template: str,
        visitor: Visitor,
        section: str,
        *,
        status: int = 200,
        form: str | None = None,
        notice: str = "",
        **values: Any,
    ) -> web.Response:
        """Draw a page of ``section``. ``notice`` says what has just been done; ``form`` names the page's form."""
        return self._pages.render(
            template,
            status=status,
            sections=[
                {
                    "label": each.label,
                    "about": each.about,
                    "url": self._pages.path(each.page),
                    "current": each.page == section,
                }
                for each in NAVIGATION
                if (visitor.is_admin or not each.for_admins) and each.page not in self._absent
            ],
            visitor=visitor.owner,
            logout_url=self._pages.path("logout"),
            csrf_token=self._signed_in.token(visitor, form) if form is not None else "",
            notice=notice,
            now=self._clock.now(),
            **values,
        )
