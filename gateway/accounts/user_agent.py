"""Which browser a User-Agent stands for, in words that its owner knows it by. A claim of the client's, no more."""

from __future__ import annotations

import re
from typing import Final

from gateway.translation.words import text

_LONGEST: Final = 400
# In this order: most say that they are Chrome or Safari as well, and most programs on phones that they are Linux.
_BROWSERS: Final = (
    (re.compile(r"\bEdg(?:e|A|iOS)?/"), "Edge"),
    (re.compile(r"\bOPR/|\bOpera\b"), "Opera"),
    (re.compile(r"\bVivaldi/"), "Vivaldi"),
    (re.compile(r"\bSamsungBrowser/"), "Samsung Internet"),
    (re.compile(r"\b(?:Firefox|FxiOS)\b"), "Firefox"),
    (re.compile(r"\bChromium/"), "Chromium"),
    (re.compile(r"\b(?:Headless)?Chrome/|\bCriOS/"), "Chrome"),
    (re.compile(r"\bVersion/[\d.]+.*\bSafari/"), "Safari"),
    (re.compile(r"^curl/"), "curl"),
)
_SYSTEMS: Final = (
    (re.compile(r"\biPhone\b"), "iPhone"),
    (re.compile(r"\biPad\b"), "iPad"),
    (re.compile(r"\bAndroid\b"), "Android"),
    (re.compile(r"\bWindows\b"), "Windows"),
    (re.compile(r"\bCrOS\b"), "ChromeOS"),
    (re.compile(r"\bMac OS X\b|\bMacintosh\b"), "macOS"),
    (re.compile(r"\bLinux\b"), "Linux"),
)


def browser_words(user_agent: str) -> str:
    """Say it as in "Firefox on Linux"; an unknown one is no more than that, whatever it says."""
    shown = user_agent[:_LONGEST]
    browser = next((name for pattern, name in _BROWSERS if pattern.search(shown)), "")
    system = next((name for pattern, name in _SYSTEMS if pattern.search(shown)), "")
    if browser and system:
        return text("%(browser)s on %(system)s", browser=browser, system=system)
    if system:
        return text("A browser on %(system)s", system=system)
    return browser or text("An unknown browser")
