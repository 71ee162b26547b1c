"""Where the compiled step spends its time, by samples of its machine code: ``perf`` with the names of the kernels.

    python -m bench.physics.sampled [--scene boxes|elastic] [--size N] [--skip TICKS] [--ticks TICKS]

bench/physics/phases.py times phases that are compiled one by one; this samples the program that sessions run, so that
it also finds what the compiler has added: copies of tuples, counts of uses, checks of indices. Needs Linux's perf, and
the right to sample this process. Writes nothing into bench/.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from numba.core.codegen import JITCodeLibrary

from bench.physics.growth import boxes, elastic
from tussle.server.physics.newton import minimise_potential
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import step
from tussle.server.physics.warmup import warm_up

SAMPLES_PER_S = 2000
KERNEL = re.compile(r"physics(\d+)(.+)")
"""In a symbol of numba: the module and the function, each after its length."""

programs: dict[str, bytes] = {}
"""The machine code of each program that was loaded, by name: numba keeps no copy."""


def keep_programs() -> None:
    """From now on, keep the machine code that numba loads from its cache."""
    usual = JITCodeLibrary._unserialize.__func__

    def load(cls: Any, codegen: Any, state: Any) -> Any:
        name, kind, parts = state
        if kind == "object":
            programs[name] = parts[0]
        return usual(cls, codegen, state)

    JITCodeLibrary._unserialize = classmethod(load)


def readable(symbol: str) -> str:
    """The kernel of a symbol of numba, as module.function; another symbol as it is."""
    found = KERNEL.search(symbol)
    if found is None:
        return symbol
    length = int(found[1])
    module, rest = found[2][:length], found[2][length:]
    name = re.match(r"(\d+)(.*)", rest)
    return f"{module}.{name[2][: int(name[1])]}" if name else module


def write_map(folder: Path, names: Path) -> None:
    """Write the names of the kernels of ``minimise_potential`` into ``names``. folder: for the program itself."""
    overload = next(iter(minimise_potential.overloads.values()))
    program = folder / "program.o"
    program.write_bytes(programs[overload.library.name])
    listed = subprocess.run(
        ["nm", "-S", "--defined-only", str(program)], capture_output=True, text=True, check=True
    )
    symbols = [line.split() for line in listed.stdout.splitlines() if len(line.split()) == 4]
    entry = overload.fndesc.llvm_func_name
    base = overload.library.get_pointer_to_function(entry) - next(
        int(at, 16) for at, _, _, name in symbols if name == entry
    )
    lines = [
        f"{base + int(at, 16):x} {int(size, 16):x} {readable(name)}"
        for at, size, kind, name in symbols
        if kind in "tTwW"
    ]
    names.write_text("\n".join(lines))


def sample(folder: Path, work: Any) -> Counter[str]:
    """Do ``work`` while perf samples this process; returns the samples of each symbol."""
    data = folder / "perf.data"
    perf = subprocess.Popen(
        ["perf", "record", "-F", str(SAMPLES_PER_S), "-o", str(data), "-p", str(os.getpid())],
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(1.0)  # perf says nothing when it has begun
        work()
    finally:
        perf.send_signal(signal.SIGINT)
        perf.wait(timeout=30)
    script = subprocess.run(
        ["perf", "script", "-i", str(data), "-F", "ip,sym"], capture_output=True, text=True, check=True
    )
    return Counter(line.split(maxsplit=1)[1] for line in script.stdout.splitlines() if line.strip())


def main() -> None:
    parser = argparse.ArgumentParser(description="Where the compiled step spends its time.")
    parser.add_argument("--scene", choices=("boxes", "elastic"), default="boxes")
    parser.add_argument("--size", type=int, default=300, help="bodies, or cells along a side")
    parser.add_argument("--skip", type=int, default=60, help="ticks before the first sample")
    parser.add_argument("--ticks", type=int, default=10)
    options = parser.parse_args()
    if not shutil.which("perf") or not shutil.which("nm"):
        sys.exit("needs perf and nm")
    subprocess.run(
        [sys.executable, "-m", "tussle.server.solver.kernels", "--progress", ""], check=True
    )  # compiled, where it must be
    keep_programs()
    warm_up()
    model, state = compile_scene(boxes(options.size) if options.scene == "boxes" else elastic(options.size))
    for _ in range(options.skip):
        state, _ = step(model, state)

    def work() -> None:
        after = state
        for _ in range(options.ticks):
            after, _ = step(model, after)

    names = Path(
        f"/tmp/perf-{os.getpid()}.map"
    )  # where perf looks for those of this process, on every machine
    with tempfile.TemporaryDirectory() as name:
        try:
            write_map(Path(name), names)
            found = sample(Path(name), work)
        finally:
            names.unlink(missing_ok=True)
    total = sum(found.values())
    last = options.skip + options.ticks - 1
    lines = [
        f"| {options.size} {options.scene}, ticks {options.skip} to {last} | of {total} samples |", "|---|---|",
        *(f"| {symbol} | {count / total:.1%} |" for symbol, count in found.most_common(20)),
    ]  # fmt: skip
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
