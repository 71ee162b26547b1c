"""The CPU baseline: one instruction set for all machines of an architecture, so that they compute equal bits.

    x86-64     x86-64-v3 (AVX2, FMA, BMI2): Intel since Haswell (2013), AMD since Excavator (2015)
    aarch64    generic (ARMv8-A with NEON)

numba, OpenBLAS and numpy choose code by the CPU that they run on, and a wider instruction set rounds sums in another
order. The kernels are compiled for the baseline (server/physics/jit.py), and ``use_baseline`` sets the variables of the
two libraries, which are read when numpy is imported: programs call it first, and child processes get them
(lobby/launch.py). The C library also chooses, but none of its functions for doubles has a variant beyond the baseline;
its version is part of ``physics_id``. A machine below the baseline computes with what it has, under another
``physics_id``.

This module must never import numpy, nor a module that does.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

__all__ = [
    "baseline",
    "baseline_variables",
    "below_baseline",
    "cpu_features",
    "cpu_identity",
    "cpu_model",
    "use_baseline",
]

X86_64_V3 = frozenset({"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"})
"""Flags of /proc/cpuinfo; its flag for LZCNT is called abm by AMD and by Intel alike."""
CORES = {"x86-64-v3": "Haswell", "generic": "ARMV8"}
"""Baseline -> OPENBLAS_CORETYPE."""
GROUPS = {"x86-64-v3": "X86_V4 AVX512_ICL AVX512_SPR", "generic": "ASIMDHP ASIMDDP ASIMDFHM SVE"}
"""Baseline -> what numpy must not use, NPY_DISABLE_CPU_FEATURES."""
OLD_GROUPS = {"x86-64-v3": "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"}
"""The same for numpy before 2.4, where the groups had other names."""


@cache
def baseline() -> str | None:
    """The baseline of this machine by LLVM's name; None for a CPU that is below it and for another architecture."""
    machine = platform.machine().lower()
    if machine in ("aarch64", "arm64"):
        return "generic"
    if machine in ("x86_64", "amd64") and set(cpu_features().split()) >= X86_64_V3:
        return "x86-64-v3"
    return None


def below_baseline() -> str:
    """One sentence about a machine without a baseline, or ""."""
    if baseline() is not None:
        return ""
    machine = platform.machine().lower()
    lacks = f"there is no baseline for {machine or 'this machine'}"
    if machine in ("x86_64", "amd64"):
        missing = sorted(X86_64_V3 - set(cpu_features().split()))
        lacks = f"it lacks {', '.join(missing)} of x86-64-v3"
    return f"this CPU is below the baseline ({lacks}): what it simulates is repeated exactly on CPUs of its kind only"


def use_baseline() -> None:
    """Set the variables by which OpenBLAS and numpy use the baseline. Without effect once numpy is imported."""
    if "numpy" not in sys.modules:
        os.environ.update(baseline_variables())


@cache
def cpu_identity() -> str:
    """The part of this CPU on which results depend: the baseline, or a hash of the instruction sets without one."""
    name, variables = baseline(), baseline_variables()
    if name is not None and all(os.environ.get(one) == value for one, value in variables.items()):
        return name
    return hashlib.sha256(cpu_features().encode()).hexdigest()[:16]


def cpu_features() -> str:
    """The instruction sets of this CPU as the system names them; its model where it names none."""
    return " ".join(sorted(_cpu_line("flags", "Features").split()))


def cpu_model() -> str:
    """The name of this CPU's model."""
    return _cpu_line("model name")


@cache
def baseline_variables() -> dict[str, str]:
    """The variables for a process that computes; none where no baseline is used."""
    name = baseline()
    if name is None:
        return {}
    groups = GROUPS if _numpy_version() >= (2, 4) else OLD_GROUPS | {"generic": GROUPS["generic"]}
    return {"OPENBLAS_CORETYPE": CORES[name], "NPY_DISABLE_CPU_FEATURES": groups[name]}


def _numpy_version() -> tuple[int, int]:
    major, minor = version("numpy").split(".")[:2]
    return int(major), int(minor)


def _cpu_line(*names: str) -> str:
    """The value of the first line of /proc/cpuinfo that begins with one of the names; else what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith(names):
            return line.partition(":")[2].strip()
    return platform.processor()  # it starts a program
