"""The pages put together: from what the program already has to routes for the portal's application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from gateway.accounts.login import PasswordLogin
from gateway.accounts.sessions import Sessions
from gateway.accounts.users import Users
from gateway.clock import Clock
from gateway.config.settings import Settings
from gateway.oauth.provider import Provider
from gateway.oauth.state.consents import Consents
from gateway.oauth.state.registry import Registry
from gateway.policy.client import TrustedProxies
from gateway.policy.rules import Access, RuleTable
from gateway.policy.target import parse_url
from gateway.tokens.master_key import MasterKey
from gateway.web.account import AccountPage
from gateway.web.applications import ApplicationsPage
from gateway.web.authorize import AUTHORIZE, AuthorizePage
from gateway.web.clients import ClientPages
from gateway.web.consent import ConsentPage
from gateway.web.console import Console
from gateway.web.continuing import Continuations
from gateway.web.cookies import Cookies
from gateway.web.csrf import Csrf
from gateway.web.device import DevicePage
from gateway.web.end_session import EndSessionPage
from gateway.web.frame import Frame
from gateway.web.grant_words import GrantWords
from gateway.web.handover import HandOver, Onward
from gateway.web.login import LoginPage
from gateway.web.logout import LogoutPage
from gateway.web.pages import Pages
from gateway.web.register import RegisterPage
from gateway.web.return_to import ReturnTo
from gateway.web.session_storage import SessionStorage
from gateway.web.signed_in import SignedIn
from gateway.web.visit import RequestId, Visits

CSRF_PURPOSE: Final = "form tokens"


@dataclass(frozen=True, slots=True)
class Site:
    """Every page's route, and the pages themselves, which draw errors for the proxy, too."""

    routes: list[web.RouteDef]
    pages: Pages


def build_site(
    *,
    settings: Settings,
    rules: RuleTable,
    proxies: TrustedProxies,
    sessions: Sessions,
    users: Users,
    password_login: PasswordLogin,
    provider: Provider,
    consents: Consents,
    registry: Registry,
    master_key: MasterKey,
    clock: Clock,
    request_id: RequestId,
) -> Site:
    """Build the pages. ``request_id`` tells the reference of a request."""
    visits = Visits(proxies)
    return_to = ReturnTo(settings.server, rules.hosts, settings.login.return_origins)
    pages = Pages(settings, visits, return_to)
    cookies = Cookies.named(secure=settings.server.secure)
    frame = Frame(pages, SessionStorage(sessions, cookies.session, visits, clock), request_id)
    csrf = Csrf(master_key.derive(CSRF_PURPOSE), cookies.form)
    continuations = Continuations(provider.authorization, pages.path(AUTHORIZE))
    onward = Onward(sessions, home(settings, rules, pages))
    login = LoginPage(
        frame=frame,
        pages=pages,
        csrf=csrf,
        password_login=password_login,
        onward=onward,
        return_to=return_to,
        continuations=continuations,
        visits=visits,
        clock=clock,
    )
    register = RegisterPage(
        frame=frame,
        pages=pages,
        csrf=csrf,
        users=users,
        registration=settings.registration,
        onward=onward,
        return_to=return_to,
        continuations=continuations,
        visits=visits,
        clock=clock,
    )
    logout = LogoutPage(
        frame=frame,
        pages=pages,
        csrf=csrf,
        cookies=cookies,
        return_to=return_to,
        visits=visits,
        home=onward.home,
    )
    hand_over = HandOver(
        frame=frame,
        pages=pages,
        sessions=sessions,
        cookies=cookies,
        return_to=return_to,
        visits=visits,
        clock=clock,
    )
    signed_in = SignedIn(frame, pages, csrf, return_to, visits)
    console = Console(pages, signed_in, clock)
    account = AccountPage(pages=pages, signed_in=signed_in, console=console)
    authorize = AuthorizePage(
        frame=frame, pages=pages, authorization=provider.authorization, strangers=provider.strangers
    )
    words = GrantWords(settings, provider.audiences.resources)
    consent = ConsentPage(
        frame=frame,
        pages=pages,
        signed_in=signed_in,
        authorization=provider.authorization,
        requests=provider.requests,
        audiences=provider.audiences,
        consents=consents,
        words=words,
        brand=settings.branding.name,
    )
    device = DevicePage(
        frame=frame,
        pages=pages,
        signed_in=signed_in,
        visits=visits,
        clients=provider.clients,
        devices=provider.devices,
        attempts=provider.device_attempts,
        audiences=provider.audiences,
        consents=consents,
        words=words,
        brand=settings.branding.name,
        refresh_lifetime=settings.tokens.refresh_lifetime,
        clock=clock,
    )
    applications = ApplicationsPage(
        pages=pages,
        signed_in=signed_in,
        console=console,
        consents=consents,
        audiences=provider.audiences,
        words=words,
        brand=settings.branding.name,
    )
    own, everybodys = (
        ClientPages(
            pages=pages,
            signed_in=signed_in,
            console=console,
            registry=registry,
            issuer=settings.issuer,
            by_admin=by_admin,
        )
        for by_admin in (False, True)
    )
    end_session = EndSessionPage(frame=frame, pages=pages, csrf=csrf, visits=visits, end_sessions=provider.end_sessions)
    parts = (
        *(login, register, logout, hand_over, account, authorize, end_session, consent, device),
        *(applications, own, everybodys),
    )
    return Site([route for part in parts for route in part.routes()], pages)


def home(settings: Settings, rules: RuleTable, pages: Pages) -> str:
    """Return where a login leads that was going nowhere: the portal host's front page, when a route serves it."""
    front_page = parse_url("GET", f"{settings.server.public_origin}/")
    rule = rules.find(front_page, CIMultiDict())
    return pages.path("login") if rule is None or rule.access is Access.DENY else "/"
