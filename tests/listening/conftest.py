"""Fronts and upstreams, as the proxy's tests have them."""

from tests.proxy.conftest import stand, upstream

__all__ = ["stand", "upstream"]
