"""The machine code that draws pictures is compiled with the installation, not by the first request for a picture."""

from __future__ import annotations

import os
import pickle
import shutil
import stat
import subprocess
from pathlib import Path

from tussle.lobby.launch import bare_environment, module_command
from tussle.server.recordings.export.raster_code import has_raster_code, raster_folder
from tussle.server.recordings.pictures import make_still
from tussle.server.recordings.zarr_frames import ZarrFrames
from tussle.server.solver import kernels


def test_the_first_picture_compiles_nothing(recording: str, tmp_path: Path) -> None:
    """What the installation has compiled is all that a picture of a recording needs: it is drawn where nothing can be
    written and nothing can be compiled, in another process, which does not fill the tables of the compiler."""
    kernels.load_kernels(pictures=True)
    assert has_raster_code()
    image = tmp_path / raster_folder().name
    shutil.copytree(raster_folder(), image)
    kept = {file.name for file in image.iterdir()}
    image.chmod(stat.S_IRUSR | stat.S_IXUSR)
    still = pickle.dumps(make_still(ZarrFrames.open(recording), (160, 84)))
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, sys\n"
        "import numba.core.compiler as c\n"
        "atexit.register(lambda: print('numba.np.arraymath' in sys.modules, file=sys.stderr))\n"
        "def refuse(*_, **__): raise AssertionError('it compiles')\n"
        "c.compile_extra = refuse\n"
    )
    environment = bare_environment() | {"NUMBA_CACHE_DIR": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), environment.get("PYTHONPATH", "")])
    made = subprocess.run(
        module_command("server.recordings.export.still_maker"), input=still, capture_output=True,
        env=environment, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr.decode()[-2000:]
    assert made.stderr.split()[-1] == b"False"
    assert made.stdout[:8] == b"\x89PNG\r\n\x1a\n"
    assert {file.name for file in image.iterdir()} == kept
