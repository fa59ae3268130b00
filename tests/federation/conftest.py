"""What stands for the network: documents by address, and who asked for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.outbound import FetchFailed
from tests.gateways import echo, gateway_factory

__all__ = ["echo", "gateway_factory"]


class Network:
    """Answers what a test put at an address. Nothing there: it is down."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}
        self.asked: list[tuple[str, bool]] = []

    async def fetch(self, url: str, *, internal: bool) -> Any:
        self.asked.append((url, internal))
        await asyncio.sleep(0)
        if url not in self.documents:
            raise FetchFailed("down")
        return self.documents[url]


@pytest.fixture
def network() -> Network:
    return Network()
