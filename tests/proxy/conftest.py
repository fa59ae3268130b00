"""Fronts and upstreams for the proxy's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from gateway.config.settings import Settings
from tests.proxy.proxying import Standing, Upstream, standing

Stand = Callable[..., Awaitable[Standing]]

ROUTES = """
upstreams:
  app: {servers: ["URL"], timeouts: {connect: 500ms, response: RESPONSE, idle: IDLE}}
routes:
  - {name: open, match: {host: app.test, path: /public/**}, access: public, upstream: app}
  - {name: maybe, match: {host: app.test, path: /maybe/**}, access: optional, upstream: app}
  - {name: closed, match: {host: app.test, path: /closed/**}, access: deny}
  - {name: staff, match: {host: app.test, path: /staff/**}, require: {roles: [staff]}, upstream: app}
  - {name: app, match: {host: app.test}, upstream: app}
"""


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """Run an upstream that answers 200 and records."""
    running = Upstream()
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def stand(settings_for: Callable[..., Settings], upstream: Upstream) -> AsyncIterator[Stand]:
    """Give what serves a front: with ``ROUTES`` before the upstream, or with YAML in which URL stands for it."""
    async with AsyncExitStack() as stack:

        async def serve(yaml: str = ROUTES, *, response: str = "1s", idle: str = "1s", **environ: str) -> Standing:
            text = yaml.replace("URL", upstream.url).replace("RESPONSE", response).replace("IDLE", idle)
            values = {"SERVER__PUBLIC_URL": "http://portal.test", **environ}
            settings = settings_for(text, **{f"GATEWAY_{name}": value for name, value in values.items()})
            return await stack.enter_async_context(standing(settings))

        yield serve


@pytest.fixture
async def front(stand: Stand) -> Standing:
    return await stand()
