"""Importing the modes loads no solver."""

import subprocess
import sys


def test_the_modes_import_no_solver() -> None:
    """Importing the modes and the simulation's types does not load numba, scipy or ipctk."""
    code = (
        "import sys, tussle.server.modes.registry, tussle.server.simulation.simulation; "
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'numba', 'ipctk', 'scipy', 'meshio'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
