"""Gateways to put before applications."""

from __future__ import annotations

from tests.gateways import echo, gateway_factory

__all__ = ["echo", "gateway_factory"]
