"""``python -m tussle``: the command ``tussle``, for an environment whose scripts are not on PATH."""

from tussle.cli.main import main

if __name__ == "__main__":
    main(prog_name="tussle")
