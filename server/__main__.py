"""``python -m server``: one server process against REDIS_URL."""

import sys

from tussle.lobby.cpu_baseline import use_baseline

use_baseline()

from tussle.server.entry import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
