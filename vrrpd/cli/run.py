"""`vrrpd run`: the agent in the foreground, as a service manager wants it."""

from __future__ import annotations

import gc

import click

from vrrpd.cli.options import config_file
from vrrpd.launcher import start
from vrrpd.log import FORMATS, LEVELS

EXAMPLES = """\b
Examples:
  vrrpd run                                  /etc/vrrpd/vrrpd.yaml, this node found by its addresses
  vrrpd run -c lab.yaml --node lb1           when the address comes later (DHCP)
  vrrpd run -c lab.yaml --control /run/vrrpd/lab.sock --log-format json
"""


@click.command(epilog=EXAMPLES)
@config_file
@click.option("--node", help="Our name in `nodes`; by default found by our addresses.")
@click.option("--control", metavar="PATH", help="Control socket.  [default: /run/vrrpd/control.sock]")
@click.option("--state", metavar="PATH", help="What outlives a reboot: drains.  [default: /var/lib/vrrpd/state.json]")
@click.option(
    "--user", metavar="NAME", help="Who to be from then on.  [default: vrrpd, where root starts it and that exists]"
)
@click.option("--log-level", type=click.Choice(LEVELS), help="Least level that is logged.  [default: info]")
@click.option("--log-format", type=click.Choice(FORMATS), help="Form of the log lines.  [default: text]")
def run(
    path: str,
    node: str | None,
    control: str | None,
    state: str | None,
    user: str | None,
    log_level: str | None,
    log_format: str | None,
) -> None:
    """Run the agent until SIGTERM or SIGINT, which hand every role over; a second signal lets go at once."""
    launcher = start()  # before the import, which makes this process large
    gc.disable()  # what is imported stays: nobody need look through it, now or later
    from vrrpd.daemon import Options, run_agent  # noqa: PLC0415 - --help and wrong usage need none of it

    gc.freeze()
    gc.enable()
    run_agent(Options(path, node, control, log_level, log_format, state, user), launcher)
