"""The bridge: what is synchronous waits for the loop without a thread, and ends as any coroutine does."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable

import pytest

from gateway.oauth.bridge import await_, run_sync

NAME: contextvars.ContextVar[str] = contextvars.ContextVar("NAME", default="nobody")


async def later(value: str, seconds: float = 0) -> str:
    await asyncio.sleep(seconds)
    return value


async def failing(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


async def test_results_go_both_ways() -> None:
    def add(left: str, *, right: str) -> str:
        return await_(later(left)) + await_(later(right))

    assert await run_sync(add, "a", right="b") == "ab"
    assert await run_sync(lambda: "at once") == "at once"


@pytest.mark.parametrize("wrap", [asyncio.ensure_future, lambda awaitable: awaitable], ids=["task", "coroutine"])
async def test_anything_can_be_waited_for(wrap: type[Awaitable[str]]) -> None:
    assert await run_sync(lambda: await_(wrap(later("x")))) == "x"  # type: ignore[call-arg]


async def test_an_error_of_either_side_is_raised_on_the_other() -> None:
    def catches() -> str:
        try:
            await_(failing(KeyError("inside")))
        except KeyError as error:
            return await_(later(f"caught {error.args[0]}"))
        return "nothing was raised"

    def raises() -> None:
        await_(later("x"))
        raise LookupError("outside")

    assert await run_sync(catches) == "caught inside"
    with pytest.raises(LookupError, match="outside"):
        await run_sync(raises)
    with pytest.raises(KeyError):
        await run_sync(lambda: await_(failing(KeyError("through"))))


async def test_context_variables_are_the_callers() -> None:
    async def name_of() -> str:
        await asyncio.sleep(0)
        return NAME.get()

    def inside() -> tuple[str, str]:
        here, there = NAME.get(), await_(name_of())
        NAME.set("changed")
        return here, there

    NAME.set("ann")
    assert await run_sync(inside) == ("ann", "ann")
    assert NAME.get() == "changed", "as in any function that is called"


async def test_many_at_once_do_not_mix() -> None:
    def own(name: str) -> list[str]:
        NAME.set(name)
        seen = []
        for turn in range(5):
            await_(asyncio.sleep(0.001 * ((turn + len(name)) % 3)))
            seen.append(NAME.get())
        return seen

    names = [f"n{number}" * (1 + number % 4) for number in range(50)]
    results = await asyncio.gather(*(asyncio.create_task(run_sync(own, name)) for name in names))
    assert results == [[name] * 5 for name in names]


async def test_cancelling_the_caller_ends_what_waits_and_its_cleaning_up_can_wait_too() -> None:
    ended: list[str] = []

    def waits() -> None:
        try:
            await_(asyncio.sleep(60))
        finally:
            ended.append(await_(later("cleaned")))

    task = asyncio.create_task(run_sync(waits))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["cleaned"]


async def test_a_timeout_ends_what_waits() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await run_sync(lambda: await_(asyncio.sleep(60)))


async def test_a_caller_that_is_closed_ends_what_waits() -> None:
    ended: list[str] = []

    def waits() -> None:
        try:
            await_(asyncio.sleep(60))
        finally:
            ended.append("cleaned")

    running = run_sync(waits)
    running.send(None)
    running.close()
    assert ended == ["cleaned"]


async def test_one_stands_inside_another() -> None:
    def outer() -> str:
        return await_(run_sync(inner)) + "!"

    def inner() -> str:
        return await_(later("deep"))

    assert await run_sync(outer) == "deep!"


@pytest.mark.filterwarnings("error")
async def test_waiting_outside_is_a_mistake_that_leaves_nothing_behind() -> None:
    async def on_the_loop() -> str:
        return await_(later("x"))

    with pytest.raises(RuntimeError, match="inside of run_sync"):
        await_(later("x"))
    with pytest.raises(RuntimeError, match="inside of run_sync"):
        await run_sync(lambda: await_(on_the_loop()))
    future = asyncio.get_running_loop().create_future()
    with pytest.raises(RuntimeError, match="inside of run_sync"):
        await_(future)
    future.cancel()
