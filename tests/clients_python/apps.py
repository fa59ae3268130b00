"""The same small application in each framework: who it is, a page for staff, one for credentials that may write."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any

import django
import django.conf
import fastapi
import flask
import starlette.applications
from aiohttp import web
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

import gateway_client.aiohttp as for_aiohttp
import gateway_client.asgi as for_asgi
import gateway_client.django as for_django
import gateway_client.fastapi as for_fastapi
import gateway_client.flask as for_flask
import gateway_client.starlette as for_starlette
import gateway_client.wsgi as for_wsgi
from gateway_client import User, Verifier
from gateway_client.keys import Keys
from tests.clients_python.drivers import Ask, over_aiohttp, over_asgi, over_wsgi
from tests.clients_python.signing import AUDIENCE, ISSUER

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def said(user: User | None) -> str:
    return "nobody" if user is None else user.username


def wsgi_app(verifier: Verifier, **door: Any) -> Any:
    def greet(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [said(for_wsgi.current_user(environ)).encode()]

    pages = {
        "/": greet,
        "/staff": for_wsgi.require_auth(roles=["staff", "boss"])(greet),
        "/write": for_wsgi.require_auth(scopes=["write"])(greet),
    }
    return for_wsgi.GatewayMiddleware(
        lambda environ, start_response: pages[environ["PATH_INFO"]](environ, start_response), verifier, **door
    )


def flask_app(verifier: Verifier, **door: Any) -> Any:
    app = flask.Flask(__name__)
    for_flask.Gateway(app, verifier, **door)

    @app.get("/")
    def index() -> str:
        return said(for_flask.current_user())

    @app.get("/staff")
    @for_flask.require_auth(roles=["staff", "boss"])
    def staff() -> str:
        return said(for_flask.current_user())

    @app.get("/write")
    @for_flask.require_auth(scopes=["write"])
    async def write() -> str:
        return said(for_flask.current_user())

    return app


def _greet_django(request: HttpRequest) -> HttpResponse:
    return HttpResponse(said(for_django.current_user(request)))


@for_django.require_auth(scopes=["write"])
async def _write_django(request: HttpRequest) -> HttpResponse:
    return _greet_django(request)


@method_decorator(for_django.require_auth(roles=["staff", "boss"]), name="dispatch")
class StaffView(View):  # type: ignore[misc]  # Django has no types
    def get(self, request: HttpRequest) -> HttpResponse:
        return _greet_django(request)


urlpatterns = [path("", _greet_django), path("staff", StaffView.as_view()), path("write", _write_django)]


def django_app(make: Callable[[], Any], verifier: Verifier, **door: Any) -> Any:
    if not django.conf.settings.configured:
        django.conf.settings.configure(
            ROOT_URLCONF=__name__,
            ALLOWED_HOSTS=["*"],
            MIDDLEWARE=["gateway_client.django.GatewayMiddleware"],
            LOGGING_CONFIG=None,
        )
    given = {"issuer": ISSUER, "audience": AUDIENCE, "keys": verifier._keys, **door}
    with override_settings(GATEWAY_CLIENT=given):
        return make()


def aiohttp_app(verifier: Verifier, **door: Any) -> web.Application:
    async def greet(request: web.Request) -> web.Response:
        return web.Response(text=said(for_aiohttp.current_user(request)))

    class Staff(web.View):
        @for_aiohttp.require_auth(roles=["staff", "boss"])
        async def get(self) -> web.Response:
            return await greet(self.request)

    app = web.Application(middlewares=[for_aiohttp.gateway_middleware(verifier, **door)])
    app.router.add_get("/", greet)
    app.router.add_view("/staff", Staff)
    app.router.add_get("/write", for_aiohttp.require_auth(scopes=["write"])(greet))
    return app


def starlette_app(verifier: Verifier, **door: Any) -> Any:
    async def greet(request: Request) -> PlainTextResponse:
        return PlainTextResponse(said(for_starlette.current_user(request)))

    @for_starlette.require_auth(scopes=["write"])
    def write(request: Request) -> PlainTextResponse:
        return PlainTextResponse(said(for_starlette.current_user(request)))

    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(said(for_starlette.current_user(socket)))
        await socket.close()

    routes = [
        Route("/", greet),
        Route("/staff", for_starlette.require_auth(roles=["staff", "boss"])(greet)),
        Route("/write", write),
        WebSocketRoute("/socket", echo),
        WebSocketRoute("/boss", for_starlette.require_auth(roles=["boss"])(echo)),
    ]
    app = starlette.applications.Starlette(routes=routes)
    app.add_middleware(for_starlette.GatewayMiddleware, verifier=verifier, **door)
    return app


def fastapi_app(verifier: Verifier, **door: Any) -> Any:
    app = fastapi.FastAPI()
    app.add_middleware(for_fastapi.GatewayMiddleware, verifier=verifier, **door)

    @app.get("/", response_class=PlainTextResponse)
    async def index(request: Request) -> str:
        return said(for_fastapi.current_user(request))

    @app.get("/staff", response_class=PlainTextResponse)
    def staff(user: Annotated[User, fastapi.Depends(for_fastapi.require_auth(roles=["staff", "boss"]))]) -> str:
        return said(user)

    @app.get("/write", response_class=PlainTextResponse)
    async def write(user: Annotated[User, fastapi.Depends(for_fastapi.require_auth(scopes=["write"]))]) -> str:
        return said(user)

    return app


def asgi_app(verifier: Verifier, **door: Any) -> Any:
    return for_asgi.GatewayMiddleware(starlette_app(verifier, anonymous=True), verifier, **door)


BUILD: dict[str, Callable[..., Ask]] = {
    "wsgi": lambda verifier, **door: over_wsgi(wsgi_app(verifier, **door)),
    "flask": lambda verifier, **door: over_wsgi(flask_app(verifier, **door)),
    "django": lambda verifier, **door: over_wsgi(django_app(get_wsgi_application, verifier, **door)),
    "django-async": lambda verifier, **door: over_asgi(django_app(get_asgi_application, verifier, **door)),
    "aiohttp": lambda verifier, **door: over_aiohttp(aiohttp_app(verifier, **door)),
    "starlette": lambda verifier, **door: over_asgi(starlette_app(verifier, **door)),
    "fastapi": lambda verifier, **door: over_asgi(fastapi_app(verifier, **door)),
    "asgi": lambda verifier, **door: over_asgi(asgi_app(verifier, **door)),
}


def with_keys(keys: Keys) -> Verifier:
    return Verifier(ISSUER, AUDIENCE, keys=keys)
