"""A soak from its start to its report."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.soak import reading, sending, streaming, visiting
from tests.soak.holdings import Holdings, ask, gained
from tests.soak.ledger import Ledger, Unavailable, WrongAnswer
from tests.soak.people import Person, people
from tests.soak.scene import Scene
from tests.soak.stage import Stage
from tests.soak.troubles import come_in_new_guises, kill_servers, rotate_keys

Act = Callable[[Scene], Awaitable[None]]
# Acts, and how many do each at a time. Everybody has an account of their own: a logout ends all of its logins.
CAST: Sequence[tuple[Act, int]] = (
    (reading.read, 4),
    (reading.read_in_a_row, 2),
    (reading.read_slowly, 2),
    (reading.read_chunked, 1),
    (reading.leave_while_reading, 2),
    (reading.leave_before_the_answer, 1),
    (reading.stop_in_the_head, 1),
    (reading.wait_for_news, 1),
    (reading.come_as_nobody, 1),
    (reading.send_nonsense, 1),
    (sending.upload, 2),
    (sending.upload_when_told_to, 1),
    (sending.upload_slowly, 1),
    (sending.abort_an_upload, 2),
    (sending.be_refused_early, 1),
    (streaming.talk, 2),
    (streaming.listen, 2),
    (visiting.come_and_go, 2),
    (visiting.lend_a_key, 1),
    (visiting.sign_in_by_form, 1),
)
# The act's own pause, so that no actor takes all the time there is.
_PAUSE_SECONDS = 0.01
_ACT_SECONDS = 30.0
_KINDS_SHOWN = 12
_LONGEST_WARM_UP_SECONDS = 60.0
# More than the gateway remembers of what it has seen: its memory is full before it is measured.
_GUISES = 6000
# What is remembered for a while, such as credentials and revocations, is not filled up by the warm-up.
ALLOWED_BYTES = 12 << 20
_TROUBLES = (Unavailable, WrongAnswer, aiohttp.ClientError, OSError, EOFError, TimeoutError, ValueError)


@dataclass
class Outcome:
    """How a soak ended. ``memory`` are bytes in use as time went by."""

    seconds: float
    ledger: Ledger
    before: Holdings
    after: Holdings
    memory: list[int]
    log_errors: list[str]

    @property
    def faults(self) -> list[str]:
        """Return, in words, all that must not be."""
        grown = self.after.used_bytes - self.before.used_bytes
        found = [f"wrong: {each}" for each in self.ledger.wrong]
        found += [f"tasks left: {gone}" for gone in [gained(self.before.tasks, self.after.tasks)] if gone]
        found += [f"files left: {gone}" for gone in [gained(self.before.files, self.after.files)] if gone]
        found += [f"under way for ever: {gone}" for gone in [gained({}, self.after.under_way)] if gone]
        found += [f"memory grew by {grown / 1e6:.1f} MB"] if grown > ALLOWED_BYTES else []
        found += [f"never done: {act.__name__}" for act, _ in CAST if not self.ledger.done[act.__name__]]
        return found + [f"logged: {line}" for line in self.log_errors]


@dataclass
class Soak:
    """One soak; everything that it starts ends with ``run``."""

    directory: Path
    seconds: float
    seed: int
    ledger: Ledger = field(default_factory=Ledger)
    memory: list[int] = field(default_factory=list)

    async def run(self) -> Outcome:
        stage = Stage(self.directory)
        try:
            await stage.open()
            visitors = await people(stage.config, sum(count for _, count in CAST))
            await come_in_new_guises(stage.port, visitors[0], int(min(self.seconds * 20, _GUISES)))
            await self._perform(stage, visitors, min(self.seconds / 4, _LONGEST_WARM_UP_SECONDS))
            before = await stage.quiet()
            self.ledger.done.clear()
            await self._perform(stage, visitors, self.seconds)
            after = await stage.quiet()
        except Exception:
            print(_last_lines(self.directory / "gateway.log"), file=sys.stderr)
            raise
        finally:
            await stage.close()
        return Outcome(self.seconds, self.ledger, before, after, self.memory, _errors(self.directory / "gateway.log"))

    async def _perform(self, stage: Stage, visitors: Sequence[Person], seconds: float) -> None:
        """Have everybody act, and things go wrong, for so long."""
        over = asyncio.Event()
        acts = [act for act, count in CAST for _ in range(count)]
        async with asyncio.TaskGroup() as group:
            for number, (act, person) in enumerate(zip(acts, visitors, strict=True)):
                chance = random.Random(f"{self.seed} {number}")
                group.create_task(self._play(act, stage.port, person, chance, over))
            group.create_task(kill_servers(stage.servers, self.ledger, over, min(max(seconds / 4, 3.0), 20.0)))
            group.create_task(rotate_keys(stage.config, over, min(seconds / 5, 30.0)))
            group.create_task(self._watch(stage.probe, over, seconds / 10))
            await asyncio.sleep(seconds)
            over.set()

    async def _play(self, act: Act, port: int, person: Person, chance: random.Random, over: asyncio.Event) -> None:
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(cookie_jar=jar, read_bufsize=32 * 1024) as http:
            scene = Scene(port, person, http, chance)
            while not over.is_set():
                began = time.monotonic()
                try:
                    async with asyncio.timeout(_ACT_SECONDS):
                        await act(scene)
                except _TROUBLES as error:
                    self.ledger.trouble(act.__name__, error, began)
                else:
                    self.ledger.done[act.__name__] += 1
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _watch(self, probe: Path, over: asyncio.Event, every: float) -> None:
        while not over.is_set():
            held = await asyncio.to_thread(ask, probe)
            self.memory.append(held.used_bytes)
            sizes = f"{held.used_bytes / 1e6:.1f} MB in use, {held.resident_bytes / 1e6:.1f} MB resident"
            print(f"{sizes}, {sum(self.ledger.done.values()):,} acts", file=sys.stderr)
            try:
                await asyncio.wait_for(over.wait(), every)
            except TimeoutError:
                continue


def _last_lines(log: Path) -> str:
    """Return how the gateway's log ends, without its requests."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if '"event":"request"' not in line]
    return "\n".join(["the gateway said at last:", *lines[-30:]])


def _errors(log: Path) -> list[str]:
    """Return what the gateway complained about: tracebacks, and what is logged as an error."""
    found = []
    for line in log.read_text(errors="replace").splitlines():
        try:
            level = json.loads(line).get("level", "")
        except ValueError:
            level = "error"  # what is not JSON was not meant to be written
        if level in ("error", "critical"):
            found.append(line[:500])
    return found[:10]


def _most(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: -item[1])[:_KINDS_SHOWN]


def report(outcome: Outcome) -> str:
    """Return all that a reader must know."""
    before, after, ledger = outcome.before, outcome.after, outcome.ledger
    lines = [
        f"{outcome.seconds / 60:g} minutes, {sum(ledger.done.values()):,} acts:",
        *(f"  {count:8,} {name}" for name, count in ledger.done.most_common()),
        f"disturbed by killed upstreams: {sum(ledger.troubles.values())}",
        *(f"  {count:8,} {name}" for name, count in ledger.troubles.most_common()),
        f"wrong answers: {ledger.wrong_count}",
        f"tasks: {sum(before.tasks.values())} before, {sum(after.tasks.values())} after",
        f"open files: {sum(before.files.values())} before, {sum(after.files.values())} after",
        f"memory in use: {before.used_bytes / 1e6:.1f} MB before, {after.used_bytes / 1e6:.1f} MB after",
        f"memory resident: {before.resident_bytes / 1e6:.1f} MB before, {after.resident_bytes / 1e6:.1f} MB after",
        f"objects: {before.objects:,} before, {after.objects:,} after",
        *(f"  {count:+8,} {name}" for name, count in _most(gained(before.kinds, after.kinds))),
        *outcome.faults,
        "failed" if outcome.faults else "all well",
    ]
    return "\n".join(lines) + "\n"
