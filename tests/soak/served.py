"""A gateway in a process of its own with a second, private socket, at which it says what it holds.

``python -m tests.soak.served CONFIG SOCKET`` is ``gateway serve`` but for that socket: the product has none.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from gateway.app import Gateway
from gateway.cli.output import run
from gateway.config.load import load_settings
from gateway.serving import run_gateway

_TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
_MOST_KINDS = 40


def holdings(gateway: Gateway, *, kinds: bool) -> dict[str, Any]:
    """Return what this process holds once everything that can be let go of is; ``kinds`` counts objects by class."""
    gc.collect()
    if _TRIM is not None:
        _TRIM(0)
    probe = asyncio.current_task()
    tasks = Counter(_name(task) for task in asyncio.all_tasks() if task is not probe)
    found: dict[str, Any] = {
        "tasks": dict(tasks),
        "files": dict(_files()),
        "under_way": {
            "requests": gateway.metrics.in_flight,
            "live": len(gateway.live),
            "upstream": sum(server.in_flight for pool in gateway.upstreams for server in pool.servers),
        },
        "resident_bytes": _resident_bytes(),
        "used_bytes": _malloc_bytes() + _python_bytes(),
        "objects": len(gc.get_objects()),
    }
    if kinds:
        counted = Counter(type(each).__qualname__ for each in gc.get_objects())
        found["kinds"] = dict(counted.most_common(_MOST_KINDS))
    return found


def _name(task: asyncio.Task[Any]) -> str:
    coroutine = task.get_coro()
    return getattr(coroutine, "__qualname__", repr(coroutine))


def _files() -> Counter[str]:
    """Count open files by kind: ``socket``, ``pipe``, ``anon_inode``, or a path."""
    found: Counter[str] = Counter()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found[str(entry.readlink()).partition(":")[0]] += 1
        except OSError:
            continue  # the one that listed them
    return found


class _Mallinfo(ctypes.Structure):
    """``struct mallinfo2`` of mallinfo(3)."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "top",
        )
    )


def _malloc_bytes() -> int:
    """Return what was asked of malloc and not given back; 0 where the C library does not say."""
    ask = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if ask is None:
        return 0
    ask.restype = _Mallinfo
    found = ask()
    return int(found.uordblks) + int(found.hblkhd)


def _python_bytes() -> int:
    """Return what Python's own allocator has given out. It tells that to standard error only."""
    kept = os.dup(2)
    with tempfile.TemporaryFile("w+") as file:
        os.dup2(file.fileno(), 2)
        try:
            sys._debugmallocstats()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        file.seek(0)
        found = re.search(r"bytes in allocated blocks\s*=\s*([\d,]+)", file.read())
    return int(found[1].replace(",", "")) if found else 0


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def serve(config: Path, socket: Path) -> None:
    async def ready(gateway: Gateway) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            line = await reader.readline()
            writer.write(json.dumps(holdings(gateway, kinds=line.strip() == b"kinds")).encode() + b"\n")
            await writer.drain()
            writer.close()

        asked.append(await asyncio.start_unix_server(answer, socket))

    asked: list[asyncio.Server] = []  # kept as long as the gateway runs
    await run_gateway(load_settings(config, {}).settings, ready=ready)


if __name__ == "__main__":
    run(serve(Path(sys.argv[1]), Path(sys.argv[2])))
