"""A front over an upstream that takes nothing but strict HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from gateway.config.settings import Settings
from tests.proxy.conftest import ROUTES
from tests.proxy.proxying import Standing, standing
from tests.strict.recorder import Recorder
from tests.strict.rows import Play, Row

Played = Callable[..., Awaitable[None]]


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    running = Recorder()
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def stand_before(settings_for: Callable[..., Settings]) -> AsyncIterator[Callable[..., Awaitable[Standing]]]:
    """Give what serves a front with YAML, in which URL stands for an upstream's."""
    async with AsyncExitStack() as stack:

        async def serve(url: str, yaml: str = ROUTES, **environ: str) -> Standing:
            text = yaml.replace("URL", url).replace("RESPONSE", "5s").replace("IDLE", "5s")
            values = {"SERVER__PUBLIC_URL": "http://portal.test", **environ}
            settings = settings_for(text, **{f"GATEWAY_{name}": value for name, value in values.items()})
            return await stack.enter_async_context(standing(settings))

        yield serve


@pytest.fixture
def played(recorder: Recorder, stand_before: Callable[..., Awaitable[Standing]]) -> Played:
    """Give what plays a row in every way."""

    async def play(row: Row, yaml: str = ROUTES, **environ: str) -> None:
        front = await stand_before(recorder.url, yaml, **environ)
        await Play(front, recorder, row).run()

    return play


@pytest.fixture
async def front(recorder: Recorder, stand_before: Callable[..., Awaitable[Standing]]) -> Standing:
    return await stand_before(recorder.url)
