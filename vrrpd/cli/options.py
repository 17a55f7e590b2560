"""Options that several commands have in the same words."""

from __future__ import annotations

import click

from vrrpd.control.client import DEFAULT_CONTROL

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

control_socket = click.option(
    "--control", metavar="PATH", default=DEFAULT_CONTROL, show_default=True, help="Control socket of the agent."
)
"""Which agent a command asks."""
