"""The `vrrpd` command: runs a subcommand and turns what a user can mend into one clear line.

A `VrrpdError` ends the command with its text on standard error and exit status 1. Everything else that is raised is a
bug and keeps its traceback. Which subcommands there are, and their arguments, is the business of `vrrpd.cli`.
"""

from __future__ import annotations

import errno
import sys

from vrrpd.cli import group
from vrrpd.errors import ConfigError, VrrpdError

SCARCE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.ENOBUFS, errno.EAGAIN}
"""What a host can run out of; nothing of ours is broken then."""


def main() -> None:
    """Entry point of the command line."""
    try:
        group(prog_name="vrrpd")
    except ConfigError as error:  # its lines begin with FILE:LINE:COLUMN, for editors that jump there
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
    except VrrpdError as error:
        sys.stderr.write(f"vrrpd: {error}\n")
        sys.exit(1)
    except OSError as error:
        if error.errno not in SCARCE:
            raise
        sys.stderr.write(f"vrrpd: {error.strerror} (see df, free, and the limits of this process: ulimit -a)\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
