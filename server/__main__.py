"""``python -m server``: one server process against REDIS_URL."""

import sys

from tussle.server.app import main

if __name__ == "__main__":
    sys.exit(main())
