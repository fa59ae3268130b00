"""Synchronous library code on the event loop: Authlib calls back into our coroutines without a thread.

A greenlet runs the library; ``await_`` inside it hands a coroutine out to the loop and is resumed with its result. So
cancellation, timeouts and context variables work as in any coroutine.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar, cast

from greenlet import getcurrent, greenlet

P = ParamSpec("P")
T = TypeVar("T")


class _Bridge(greenlet):
    """A greenlet whose parent runs the event loop."""

    def __init__(self, run: Callable[..., object]) -> None:
        parent = getcurrent()
        super().__init__(run, parent)
        # A new greenlet begins with an empty context: request ids and the like would be lost.
        self.gr_context = parent.gr_context


def await_(awaitable: Awaitable[T]) -> T:
    """Return what ``awaitable`` results in. Raises what it raises, and RuntimeError outside of ``run_sync``."""
    current = getcurrent()
    if not isinstance(current, _Bridge) or current.parent is None:
        if isinstance(awaitable, Coroutine):
            awaitable.close()
        raise RuntimeError("await_() stands inside of run_sync() only")
    return cast(T, current.parent.switch(awaitable))


async def run_sync(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run synchronous code that may call ``await_``. Returns or raises what it does."""
    bridge = _Bridge(function)
    result: Any = bridge.switch(*args, **kwargs)
    while not bridge.dead:
        try:
            value = await result
        except BaseException:  # cancellation, too, is raised where the library waits
            result = bridge.throw(*sys.exc_info())
        else:
            result = bridge.switch(value)
    return cast(T, result)
