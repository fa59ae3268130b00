"""What an application may do, in words that people agree to: a sentence for each scope, claim and resource."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.accounts.sessions import SessionOwner
from gateway.config.settings import Settings
from gateway.oauth.state.client import Client
from gateway.translation.words import later, text
from gateway.web.moments import span

# In the order in which they are said. What is shown beside some is what the application would see.
_SCOPES: Final[Mapping[str, str]] = {
    "openid": later("Recognise you when you come back"),
    "profile": later("See your name and username"),
    "email": later("See your e-mail address"),
    "roles": later("See your roles"),
    "address": later("See your postal address, of which none is kept here"),
    "phone": later("See your telephone number, of which none is kept here"),
}
_CLAIMS: Final[Mapping[str, str]] = {
    "name": later("See your name"),
    "preferred_username": later("See your username"),
    "updated_at": later("See when your profile was last changed"),
    "email": later("See your e-mail address"),
    "email_verified": later("See whether your e-mail address has been confirmed"),
    "roles": later("See your roles"),
}
_OFFLINE: Final = "offline_access"  # said with how long it lasts
_REFRESH: Final = "refresh_token"
_OWN_API: Final = "gateway"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that an application gets. ``shown`` is what it would see; ``strong`` ones act in the person's name."""

    sentence: str
    shown: str = ""
    strong: bool = False


class GrantWords:
    """Puts grants into words. ``resources`` are the names of resources by their identifier."""

    def __init__(self, settings: Settings, resources: Mapping[str, str]) -> None:
        self.brand = settings.branding.name
        self._issuer = settings.issuer
        self._scopes = settings.oauth.scopes
        self._tokens = settings.tokens
        self._resources = resources

    def lines(
        self,
        scopes: Collection[str],
        resources: Collection[str],
        claims: Collection[str],
        owner: SessionOwner,
    ) -> Sequence[Line]:
        """Return what a client gets of ``owner``. ``resources`` are what its tokens open, the issuer among them."""
        values = _values(owner)
        lines = [Line(text(said), values.get(name, "")) for name, said in _SCOPES.items() if name in scopes]
        lines += [Line(text(said), values.get(name, "")) for name, said in _CLAIMS.items() if name in claims]
        lines += [Line(self._resource(each), strong=True) for each in resources]
        if _OWN_API in scopes:
            manage = text("Manage your account at %(brand)s, and whatever else you may manage here", brand=self.brand)
            lines.append(Line(manage, strong=True))
        known = {*_SCOPES, _OFFLINE, _OWN_API}
        lines += [
            Line(self._scopes.get(each) or text("Use the permission %(name)s", name=each))
            for each in scopes
            if each not in known
        ]
        return list(dict.fromkeys(lines))

    def lasting(self, client: Client, *, offline: bool) -> str:
        """Say for how long a client gets it."""
        if _REFRESH not in client.grant_types:
            access = client.seconds("access_token_lifetime", self._tokens.access_lifetime)
            return text("For %(time)s at a time.", time=span(access))
        refresh = span(client.seconds("refresh_token_lifetime", self._tokens.refresh_lifetime))
        if offline:
            return text("Also while you are away: until you take it back, for %(time)s at most.", time=refresh)
        return text("Until you sign out, for %(time)s at most.", time=refresh)

    def _resource(self, identifier: str) -> str:
        if identifier == self._issuer:
            return text("Open the applications behind %(brand)s as you, with your roles", brand=self.brand)
        name = self._resources.get(identifier)
        shown = f"{name} ({identifier})" if name and name != identifier else identifier
        return text("Use %(resource)s as you", resource=shown)


def _values(owner: SessionOwner) -> Mapping[str, str]:
    roles = ", ".join(owner.roles) or text("none")
    named = f"{owner.name}, {owner.username}" if owner.name else owner.username
    return {
        "profile": named,
        "name": owner.name or owner.username,
        "preferred_username": owner.username,
        "email": owner.email,
        "roles": roles,
    }
