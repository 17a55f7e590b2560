"""The command line: a table of subcommands, imported only when they are run.

`vrrpd status` has a fifth of a second from the shell prompt to its answer, and the imports of the agent alone take
twice that. So the group knows each subcommand by name, module and one line of help, and `vrrpd --help` imports none
of them. A new subcommand is one module beside this one and one line in the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Final

import click

from vrrpd import __version__


@dataclass(frozen=True, slots=True)
class Subcommand:
    """Where a subcommand lives.

    Attributes:
        module: the module; the command has the subcommand's name in it.
        help: one line for `vrrpd --help`.
    """

    module: str
    help: str


SUBCOMMANDS: Final = MappingProxyType(
    {
        "run": Subcommand("vrrpd.cli.run", "Run the agent in the foreground."),
        "check": Subcommand("vrrpd.cli.check", "Check a configuration file and list all its mistakes."),
        "status": Subcommand("vrrpd.cli.status", "Show who is active, since when, and why."),
        "drain": Subcommand("vrrpd.cli.drain", "Give the role to another node, and stay out."),
        "undrain": Subcommand("vrrpd.cli.undrain", "Take part again after a drain."),
        "purge": Subcommand("vrrpd.cli.purge", "Remove every address that an agent left behind."),
        "auth": Subcommand("vrrpd.cli.auth", "Show who signs advertisements, and with which key."),
        "cloud": Subcommand("vrrpd.cli.cloud", "Prepare a cloud's account for movers."),
    }
)

_EPILOG = """\b
Examples:
  vrrpd check -c vrrpd.yaml     is the file right?
  vrrpd run -c vrrpd.yaml       run the agent
  vrrpd status                  what does the agent on this node do?
  vrrpd status --json --watch   one JSON object a line, at each change
  vrrpd drain --for 2h          maintenance: another node takes over, this one stays out
"""


class LazyGroup(click.Group):
    """A group whose subcommands come from `SUBCOMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        del ctx
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand; None where there is no such name."""
        del ctx
        subcommand = SUBCOMMANDS.get(cmd_name)
        if subcommand is None:
            return None
        command = getattr(import_module(subcommand.module), cmd_name)
        assert isinstance(command, click.Command), subcommand.module
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, subcommand.help) for name, subcommand in SUBCOMMANDS.items()])


@click.group(cls=LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vrrpd", message="%(prog)s %(version)s")
def group() -> None:
    """Keep one address always answering: a VRRP agent for any network, multicast or not."""
