"""A provider to sign in through."""

from __future__ import annotations

import pytest

from tests.gateways import GatewayFactory, echo, gateway_factory
from tests.oauth.op import Op, start_op

__all__ = ["echo", "gateway_factory"]


@pytest.fixture
async def op(gateway_factory: GatewayFactory) -> Op:
    """Serve a provider that knows ann."""
    provider = await start_op(gateway_factory)
    await provider.person()
    return provider
