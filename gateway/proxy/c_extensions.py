"""aiohttp's parsers in C: the ones in Python must never be active."""

from __future__ import annotations

from aiohttp import http_parser

from gateway.errors import StartupError


def require_c_extensions() -> None:
    """Raise StartupError when aiohttp would parse in Python: slower by far, and less strict."""
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise StartupError(
            "aiohttp is installed without its C extensions: reinstall it from a wheel "
            "(pip install --force-reinstall aiohttp), and unset AIOHTTP_NO_EXTENSIONS",
        )
