"""npm packages for the tests: installed once a machine from the lock file, outside the tree, and shared by all runs."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent / "clients_js"
PROGRAMS = ("node", "npm")
_OLDEST_NODE = 20
_COMMAND = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error")
_FILES = ("package.json", "package-lock.json")


def missing_program() -> str | None:
    """Return what is needed and not there, by the program's name."""
    if missing := next((name for name in PROGRAMS if shutil.which(name) is None), None):
        return missing
    version = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True, timeout=30).stdout
    return None if int(version.lstrip("v").partition(".")[0]) >= _OLDEST_NODE else f"node {_OLDEST_NODE}"


def prepare(directory: Path) -> Path:
    """Put the scripts of ``clients_js`` there with their packages beside them, so that node finds these."""
    directory.mkdir()
    for script in SOURCES.glob("*.[cm]js"):
        shutil.copy(script, directory)
    (directory / "node_modules").symlink_to(installed() / "node_modules")
    return directory


def installed(sources: Path = SOURCES) -> Path:
    """Return where the packages of a lock file are; install them when no run before this one did."""
    content = b"".join((sources / name).read_bytes() for name in _FILES)
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "auth-gateway-tests"
    place = root / f"npm-{hashlib.sha256(content).hexdigest()[:16]}"
    root.mkdir(parents=True, exist_ok=True)
    with (root / "npm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            _install(sources, place)
    return place


def _install(sources: Path, place: Path) -> None:
    unfinished = place.with_name(f"{place.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    for name in _FILES:
        shutil.copy(sources / name, unfinished)
    done = subprocess.run(_COMMAND, check=False, cwd=unfinished, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(f"npm ci failed: {done.stderr or done.stdout}")
    unfinished.rename(place)
