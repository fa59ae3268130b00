"""Gateways to put before real applications."""

from __future__ import annotations

from tests.gateways import gateway_factory

__all__ = ["gateway_factory"]
