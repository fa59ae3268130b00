"""Gateways to send requests to."""

from __future__ import annotations

from tests.gateways import cable, echo, gateway_factory, recorder

__all__ = ["cable", "echo", "gateway_factory", "recorder"]
