"""What phones photograph, drawn as SVG into the page."""

from __future__ import annotations

import io

import segno
from markupsafe import Markup


def qr_code(text: str) -> Markup:
    """Return the QR code of ``text``: dark on light in every colour scheme, for cameras."""
    drawn = io.BytesIO()
    # Without declaration and namespace it stands in HTML; no text of anybody's is in the drawing.
    segno.make(text, error="m", micro=False).save(
        drawn,
        kind="svg",
        xmldecl=False,
        svgns=False,
        scale=5,
        border=4,
        dark="#000",
        light="#fff",
        svgclass="qr",
        lineclass=None,
    )
    return Markup(drawn.getvalue().decode())  # noqa: S704 - drawn above from modules alone
