"""Options that several commands have in the same words."""

from __future__ import annotations

import click

config_file = click.option(
    "-c",
    "--config",
    "path",
    metavar="FILE",
    default="/etc/vrrpd/vrrpd.yaml",
    show_default=True,
    help="The configuration file.",
)
"""Which file a command reads."""
