"""Liveness, readiness and metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aiohttp import web

from gateway.observability.metrics import Metrics


class Health:
    """Answers probes. ``fresh`` tells whether revocations arrive, which takes the database.

    ``details`` yields lines about what is behind the gateway, for those who may use the internal listener.
    """

    def __init__(self, fresh: Callable[[], bool], metrics: Metrics, details: Callable[[], Iterable[str]]) -> None:
        self._fresh = fresh
        self._metrics = metrics
        self._details = details
        self.draining = False

    def public_routes(self) -> list[web.RouteDef]:
        """Return the probes that every host answers."""
        return [web.get("/.gateway/healthz", self.healthz), web.get("/.gateway/readyz", self.readyz)]

    def internal_application(self) -> web.Application:
        """Return what the internal listener serves."""
        application = web.Application()
        application.add_routes(
            [
                web.get("/healthz", self.healthz),
                web.get("/readyz", self.readyz_in_detail),
                web.get("/metrics", self.metrics),
            ]
        )
        return application

    async def healthz(self, _request: web.Request) -> web.Response:
        """Say that the process answers."""
        return _text("ok")

    async def readyz(self, _request: web.Request) -> web.Response:
        """Say whether requests should be sent here."""
        return _text(*self._readiness())

    async def readyz_in_detail(self, request: web.Request) -> web.Response:
        """Say the same, and with ``?verbose`` how the upstreams do; none of them makes the gateway unready."""
        text, status = self._readiness()
        if "verbose" in request.query:
            text = "\n".join([text, *self._details()])
        return _text(text, status)

    def _readiness(self) -> tuple[str, int]:
        if self.draining:
            return "draining", 503
        if not self._fresh():
            return "the database does not answer", 503
        return "ready", 200

    async def metrics(self, _request: web.Request) -> web.Response:
        body = self._metrics.render()
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


def _text(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text + "\n", status=status, headers={"Cache-Control": "no-store"})
