"""The child process of the embedded store: moto's server until its parent goes away.

Run with ``python -m flatfiles_assets.demo.moto_process``. It binds a port that the kernel chooses,
prints it on its first line of output, and leaves when its standard input ends: which the kernel
does for a parent that dies in whatever way. `EmbeddedS3` is the other end.
"""

from __future__ import annotations

import logging
import sys

from moto.server import ThreadedMotoServer


def main() -> None:
    """Serve on a free loopback port until standard input ends."""
    # One log line a request would cost more than the request.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    sys.stdout.write(f"{server.get_host_and_port()[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
