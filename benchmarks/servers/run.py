"""Measure improto's server beside others on loopback, and write `docs/servers.md` and `docs/servers.svg`.

    apt-get install gcc redis-server nats-server ngircd inspircd mosquitto
    pip install -e . -r benchmarks/servers/requirements.txt && python benchmarks/servers/run.py

Each server is a process, and this one drives it.  What counts is the processor time of the server, which says more than
throughput on a machine whose cores are shared; servers take turns, round by round, and the median of the rounds
counts.  What is not here is skipped, with the reason.  These are no tests: nothing fails here for being slow.

With `--quick`, a few messages to our server and the hand-written one show that all of it runs; nothing is written.
"""

import argparse
import os
import resource
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import page
from core import OURS, THEIRS, cores
from load import Crowd, running
from rivals import MARK, Missing, Rival, floor, own, rivals


class Plan(NamedTuple):
    """How much is measured."""

    sizes: Sequence[int] = (10, 100, 1000)
    rounds: int = 7
    seconds: float = 0.2
    """Processor time of one server in one round."""
    users: int = 1000
    idle: int = 5000
    held: int = 10_000
    paced: float = 1.0
    """Seconds of messages at an even pace, in one round."""


# Of fewer users the system may count no processor time at all.
QUICK = Plan(sizes=(10,), rounds=1, seconds=0.01, users=200, idle=20, held=30, paced=0.1)
IN_FLIGHT = (1, 32)
PACE = 500
"""Messages a second."""


def deliveries(plan: Plan, chosen: Sequence[Rival], skipped: dict[str, str]) -> list[page.Delivery]:
    """Measure the processor time of one delivery."""
    rows: list[page.Delivery] = []
    for size in plan.sizes:
        with ExitStack() as stack:
            crowds: list[Crowd] = []
            for rival in chosen:
                if rival.name not in skipped:
                    try:
                        crowd = stack.enter_context(crowd_of(rival))
                        crowd.gather(size)
                        crowds.append(crowd)
                    except (Missing, OSError) as reason:
                        skipped[rival.name] = str(reason)
            for window in IN_FLIGHT:
                for crowd, time in zip(crowds, rounds(plan, crowds, window), strict=True):
                    rows.append(page.Delivery(size, window, crowd.server.rival.name, time))
        tell(f"{size} members: measured")
    return rows


def rounds(plan: Plan, crowds: Sequence[Crowd], window: int) -> list[float]:
    """Give the median over the rounds of each, in seconds of the server for one delivery."""
    times: list[list[float]] = [[] for _ in crowds]
    for _ in range(plan.rounds):
        for crowd, of_crowd in zip(crowds, times, strict=True):
            crowd.settle(0.0)
            crowd.say(window)
            start, count = crowd.server.cpu(), 0
            while crowd.server.cpu() - start < plan.seconds:
                crowd.say(window)
                count += window * crowd.receivers
            of_crowd.append((crowd.server.cpu() - start) / count)
    return list(map(statistics.median, times))


def log_ins(plan: Plan, rival: Rival) -> page.LogIns:
    """Measure users who connect and register, each answered with the roster."""
    results: list[tuple[float, float]] = []
    for _ in range(plan.rounds):
        with crowd_of(rival) as crowd:
            start, cpu = time.perf_counter(), crowd.server.cpu()
            crowd.come(plan.users)
            results.append((time.perf_counter() - start, crowd.server.cpu() - cpu))
    took, cpu = (statistics.median(each) for each in zip(*results, strict=True))
    return page.LogIns(rival.name, plan.users / took, plan.users / cpu)


def idle(plan: Plan, rival: Rival) -> page.Memory:
    """Measure what a registered connection costs in memory while nobody says anything."""
    with crowd_of(rival) as crowd:
        crowd.come(plan.idle // 10)  # what the first ones need is there for all
        crowd.settle(1.0)
        before, there = crowd.server.memory(), len(crowd.members)
        crowd.come(plan.idle)
        crowd.settle(1.0)
        return page.Memory(rival.name, (crowd.server.memory() - before) / (plan.idle - there))


def held(plan: Plan, rival: Rival) -> page.Held:
    """Hold as many connections at once as there may be, and have each of them served."""
    with crowd_of(rival) as crowd:
        start = time.perf_counter()
        crowd.come(plan.held)
        came = time.perf_counter() - start
        crowd.settle()
        start = time.perf_counter()
        for each in crowd.members:
            each.sendall(rival.question)
        crowd.answers(plan.held)
        return page.Held(rival.name, plan.held, came, time.perf_counter() - start, crowd.server.memory())


def latencies(plan: Plan, chosen: Sequence[Rival]) -> list[page.Latency]:
    """Measure how long a message takes from one member to another: median and 99th percentile, and of the rounds the medians."""
    found = [[latency(plan, rival) for rival in chosen] for _ in range(plan.rounds)]
    return [
        page.Latency(rival.name, *map(statistics.median, zip(*of_rival, strict=True)))
        for rival, of_rival in zip(chosen, zip(*found, strict=True), strict=True)
    ]


def latency(plan: Plan, rival: Rival) -> tuple[float, float]:
    """Measure one server in one round, with messages at an even pace."""
    with crowd_of(rival) as crowd, apart(crowd.server.pid):
        crowd.gather(2)
        receiver = crowd.members[1]
        receiver.setblocking(False)
        times: list[float] = []
        due = time.perf_counter()
        for _ in range(int(plan.paced * PACE)):
            due += 1 / PACE
            while (now := time.perf_counter()) < due:
                time.sleep(max(0.0, due - now - 0.0002))
            start = time.perf_counter()
            crowd.sender.sendall(rival.message)
            while not arrived(receiver.fileno(), crowd):
                pass
            times.append(time.perf_counter() - start)
            crowd.take(0.0)
        times.sort()
        return times[len(times) // 2], times[len(times) * 99 // 100]


@contextmanager
def apart(pid: int) -> Iterator[None]:
    """Keep a server, with all its threads, off one processor, and this process on it, if there are two or more.

    This one never sleeps while it waits for a message; so a server that is woken up on the same processor would wait
    until its share of time is over, which takes ten times as long as a message.
    """
    every = sorted(os.sched_getaffinity(0))
    own, *others = every
    if not others:
        yield
        return
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), others)
    os.sched_setaffinity(0, [own])
    try:
        yield
    finally:
        os.sched_setaffinity(0, every)


def arrived(number: int, crowd: Crowd) -> bool:
    """Tell whether a message is there: whoever waits for it in the system wakes up late."""
    try:
        return MARK in crowd.by_number[number].recv(65536)
    except BlockingIOError:
        return False


@contextmanager
def crowd_of(rival: Rival) -> Iterator[Crowd]:
    """Start a server, and give connections to it."""
    with running(rival) as server:
        crowd = Crowd(server)
        try:
            yield crowd
        finally:
            crowd.close()


def tell(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Measure everything and write both files."""
    parser = argparse.ArgumentParser(description="Measure servers.")
    parser.add_argument("--quick", action="store_true", help="only see that it runs")
    quick = parser.parse_args().quick
    plan = QUICK if quick else Plan()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    ours, least = own("ascii"), floor()
    skipped: dict[str, str] = {}
    results = page.Results(
        cores=cores(OURS if quick else {**OURS, **THEIRS}, plan.rounds, plan.seconds, skipped),
        deliveries=deliveries(plan, [least, ours] if quick else rivals(), skipped),
        log_ins=[log_ins(plan, ours)],
        memory=[idle(plan, rival) for rival in (least, ours)],
        held=[held(plan, ours)],
        latency=latencies(
            plan,
            [
                rival
                for rival in ([least, ours] if quick else rivals())
                if rival.name not in skipped and rival.reads_own
            ],
        ),
        skipped=skipped,
    )
    text = page.table(results)
    if not quick:
        docs = Path(__file__).parents[2] / "docs"
        (docs / "servers.md").write_text(text, encoding="utf-8")
        (docs / "servers.svg").write_text(page.plot(results), encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
