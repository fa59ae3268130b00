"""``/account/tokens``: API tokens, made and shown once, kept to routes and hosts, and deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from aiohttp import web

from gateway.accounts.api_tokens import ApiTokens, KeptTo
from gateway.errors import FieldError, InvalidInput, NotFound
from gateway.policy.rules import Access, RuleTable
from gateway.translation.words import later
from gateway.web.console import Console
from gateway.web.field_words import sentence
from gateway.web.pages import Pages, redirect
from gateway.web.signed_in import SignedIn, Visitor

PAGE: Final = "account/tokens"
FORM: Final = "tokens"
_DONE: Final[Mapping[str, str]] = {
    "deleted": later("The token is deleted: it opens nothing any more."),
    "none": later("That token was gone already."),
}
# By what the form says; the first one is chosen unless told.
_LIFETIMES: Final[Mapping[str, tuple[str, timedelta | None]]] = {
    "90d": (later("90 days"), timedelta(days=90)),
    "7d": (later("7 days"), timedelta(days=7)),
    "30d": (later("30 days"), timedelta(days=30)),
    "365d": (later("a year"), timedelta(days=365)),
    "never": (later("It does not expire"), None),
}
_LABELS: Final[Mapping[str, str]] = {
    "name": later("The name"),
    "scopes": later("The scopes"),
    "routes": later("The routes"),
    "hosts": later("The hosts"),
}
_NO_ROUTE: Final = FieldError("routes", later("must be names of routes that there are"))
_NO_LIFETIME: Final = FieldError("lifetime", later("Please choose how long it lives."))


class TokensPage:
    """Lists an account's tokens, makes and deletes them. Making one takes a recent sign-in: it outlives the session."""

    def __init__(
        self, *, pages: Pages, signed_in: SignedIn, console: Console, api_tokens: ApiTokens, rules: RuleTable
    ) -> None:
        self._pages = pages
        self._signed_in = signed_in
        self._console = console
        self._api_tokens = api_tokens
        # Public routes look at no token, and closed ones at nothing.
        self._routes = {
            rule.name for rule in rules.rules if rule.access not in {Access.PUBLIC, Access.DENY} and rule.answer is None
        }

    def routes(self) -> list[web.RouteDef]:
        page, signed_in = self._pages.path(PAGE), self._signed_in
        return [
            web.get(page, signed_in(self.show)),
            web.get(f"{page}/new", signed_in(self.new, fresh=True)),
            web.post(f"{page}/new", signed_in(self.create, fresh=True)),
            web.post(f"{page}/{{id}}/delete", signed_in(self.delete)),
        ]

    async def show(self, request: web.Request, visitor: Visitor) -> web.Response:
        return self._console.render(
            "tokens",
            visitor,
            PAGE,
            form=FORM,
            notice=_DONE.get(request.query.get("done", ""), ""),
            tokens=await self._api_tokens.list_for(visitor.owner.account_id),
            url=self._pages.path(PAGE),
        )

    async def new(self, _request: web.Request, visitor: Visitor) -> web.Response:
        return self._form(visitor, {})

    async def create(self, request: web.Request, visitor: Visitor) -> web.Response:
        form = await self._signed_in.read_form(request, visitor, FORM)
        try:
            scopes, routes, hosts = (_words(form.get(name, "")) for name in ("scopes", "routes", "hosts"))
            lifetime = self._checked(form, routes)
            kept_to = KeptTo(routes or None, hosts or None)
            token, text = await self._api_tokens.create(
                visitor.owner.account_id, form.get("name", ""), scopes, lifetime, kept_to
            )
        except InvalidInput as error:
            return self._form(visitor, form, error.errors)
        return self._console.render("token_made", visitor, PAGE, token=token, text=text, url=self._pages.path(PAGE))

    async def delete(self, request: web.Request, visitor: Visitor) -> web.Response:
        await self._signed_in.read_form(request, visitor, FORM)
        try:
            await self._api_tokens.revoke(visitor.owner.account_id, request.match_info["id"])
        except NotFound:
            return redirect(self._pages.path(PAGE, done="none"))
        return redirect(self._pages.path(PAGE, done="deleted"))

    def _checked(self, form: Mapping[str, str], routes: Sequence[str]) -> timedelta | None:
        chosen = form.get("lifetime", "90d")
        errors = [] if self._routes.issuperset(routes) else [_NO_ROUTE]
        if chosen not in _LIFETIMES:
            errors.append(_NO_LIFETIME)
        if errors:
            raise InvalidInput(errors)
        return _LIFETIMES[chosen][1]

    def _form(self, visitor: Visitor, form: Mapping[str, str], errors: Sequence[FieldError] = ()) -> web.Response:
        return self._console.render(
            "token_new",
            visitor,
            PAGE,
            status=400 if errors else 200,
            form=FORM,
            errors=[sentence(error, _LABELS) for error in errors],
            values={name: value[:5000] for name, value in form.items()},
            lifetimes=[(key, words) for key, (words, _) in _LIFETIMES.items()],
            known_routes=sorted(self._routes) if visitor.is_admin else (),
            url=self._pages.path(PAGE),
        )


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())
