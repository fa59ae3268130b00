"""Liveness, readiness and metrics."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from gateway.observability.metrics import Metrics


class Health:
    """Answers probes. ``fresh`` tells whether revocations arrive, which takes the database."""

    def __init__(self, fresh: Callable[[], bool], metrics: Metrics) -> None:
        self._fresh = fresh
        self._metrics = metrics
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
                web.get("/readyz", self.readyz),
                web.get("/metrics", self.metrics),
            ]
        )
        return application

    async def healthz(self, _request: web.Request) -> web.Response:
        """Say that the process answers."""
        return _text("ok")

    async def readyz(self, _request: web.Request) -> web.Response:
        """Say whether requests should be sent here."""
        if self.draining:
            return _text("draining", 503)
        if not self._fresh():
            return _text("the database does not answer", 503)
        return _text("ready")

    async def metrics(self, _request: web.Request) -> web.Response:
        body = self._metrics.render()
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


def _text(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text + "\n", status=status, headers={"Cache-Control": "no-store"})
