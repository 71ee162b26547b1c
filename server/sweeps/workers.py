"""Where the runs of a sweep are computed: worker processes of this machine, or a cluster of Dask or Ray.

    plan, runs -> local | on_dask | on_ray -> rows, in the order in which they are ready

Each is a generator: closing it ends its processes, or cancels what waits on the cluster. This module must never write a
file.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, cast

from tussle.lobby.errors import Refused
from tussle.server.sweeps.plan import SweepPlan
from tussle.server.sweeps.single_run import Row, simulate_run

__all__ = ["AHEAD", "local", "on_dask", "on_ray"]

AHEAD = 4
"""Runs that wait at a cluster for each of its threads."""

TRIES = 2
"""Times that a run is begun whose process ends in it, before its row says so."""

CONNECT_S = 30.0


class _Worker:
    """A process with the run that it computes."""

    def __init__(self, context: Any, plan: SweepPlan) -> None:
        self.pipe, there = context.Pipe()
        self.run = -1
        self.process: BaseProcess = context.Process(target=_serve, args=(there, plan), daemon=True)
        self.process.start()
        there.close()

    def begin(self, run: int) -> None:
        self.run = run
        with contextlib.suppress(OSError):  # the process has ended; its pipe says so too
            self.pipe.send(run)

    def end(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join()


def local(plan: SweepPlan, runs: Iterator[int], *, processes: int) -> Iterator[Row]:
    """Compute runs in worker processes. If a process ends in a run (killed, out of memory), the run is begun once more
    in another one; then its row has the status "crashed"."""
    context = get_context("spawn")
    workers: dict[Connection, _Worker] = {}
    crashes: dict[int, int] = {}
    try:
        for run in islice(runs, processes):
            worker = _Worker(context, plan)
            workers[worker.pipe] = worker
            worker.begin(run)
        while workers:
            for pipe in wait(list(workers)):
                worker = workers[cast(Connection, pipe)]
                run = worker.run
                try:
                    row = worker.pipe.recv()
                except (EOFError, OSError):
                    del workers[worker.pipe]
                    worker.end()
                    crashes[run] = crashes.get(run, 0) + 1
                    worker = _Worker(context, plan)
                    workers[worker.pipe] = worker
                    if crashes[run] < TRIES:
                        worker.begin(run)
                        continue
                    row = _crashed(plan, run)
                if isinstance(row, Exception):
                    raise row
                following = next(runs, None)
                if following is None:
                    del workers[worker.pipe]
                    worker.end()
                else:
                    worker.begin(following)
                yield row
    finally:
        for worker in workers.values():
            worker.end()


def _serve(pipe: Connection, plan: SweepPlan) -> None:
    """A worker process: one run after the other, until the pipe is closed. Ctrl-C is the parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    while True:
        try:
            run = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            row: Row | Exception = simulate_run(plan, run)
        except Exception as error:  # noqa: BLE001  (the parent raises it)
            row = error
        try:
            pipe.send(row)
        except OSError:
            return


def _end_with(parent: int) -> None:
    """End this process once its parent has ended."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _crashed(plan: SweepPlan, run: int) -> Row:
    return {"run": run, **plan.values(run), "status": "crashed", "error": "its process ended"}


def on_dask(plan: SweepPlan, runs: Iterator[int], *, address: str) -> Iterator[Row]:
    """Compute runs on a cluster of Dask, whose workers have Tussle installed. Raises Refused (no_cluster)."""
    try:
        import distributed
    except ImportError:
        raise _missing("dask", "distributed") from None
    try:
        client: Any = distributed.Client(address, timeout=CONNECT_S)  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError, ValueError) as error:
        raise _unreachable(address, error) from None
    with client:
        compute: Callable[[int], Row] = partial(simulate_run, plan)
        threads = sum(client.nthreads().values()) or 1
        begun = client.map(compute, list(islice(runs, AHEAD * threads)), pure=False)
        ready: Any = distributed.as_completed(begun)  # type: ignore[no-untyped-call]
        try:
            for future in ready:
                row: Row = future.result()
                for run in islice(runs, 1):
                    ready.add(client.submit(compute, run, pure=False))
                yield row
        finally:
            client.cancel(list(ready.futures))


def on_ray(plan: SweepPlan, runs: Iterator[int], *, address: str) -> Iterator[Row]:
    """Compute runs on a cluster of Ray, whose nodes have Tussle installed. Raises Refused (no_cluster)."""
    try:
        import ray
    except ImportError:
        raise _missing("ray", "ray") from None
    try:
        ray.init(address=address, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _unreachable(address, error) from None
    try:
        compute = ray.remote(simulate_run)
        shared = ray.put(plan)
        cores = int(ray.cluster_resources().get("CPU", 1.0)) or 1
        begun = [compute.remote(shared, run) for run in islice(runs, AHEAD * cores)]
        while begun:
            done, begun = ray.wait(begun, num_returns=1)
            begun += [compute.remote(shared, run) for run in islice(runs, 1)]
            yield ray.get(done[0])
    finally:
        ray.shutdown()


def _missing(name: str, package: str) -> Refused:
    return Refused(
        f"--{name} needs the package {package}: install tussle[{name}]", code="no_cluster", field=name
    )


def _unreachable(address: str, error: Exception) -> Refused:
    return Refused(f"no cluster answers at {address}: {error}", code="no_cluster", field="address")
