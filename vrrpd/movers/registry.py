"""The table of the kinds of movers.

A new kind is one file, one line here and one test file that runs the contract every kind keeps. HTTP and cloud
libraries take longer to import than the rest of the agent: who moves no elastic address does not wait for them.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from vrrpd.config import Table

if TYPE_CHECKING:
    from vrrpd.movers.base import Kind

MODULES: Final = MappingProxyType(
    {
        "ec2-elastic-ip": "vrrpd.movers.ec2.elastic_ip",
        "ec2-private-ip": "vrrpd.movers.ec2.private_ip",
        "ec2-route": "vrrpd.movers.ec2.route",
        "ec2-ipv6": "vrrpd.movers.ec2.ipv6",
        "http": "vrrpd.movers.http.full",
        "hetzner": "vrrpd.movers.http.presets",
        "hetzner-robot": "vrrpd.movers.http.presets",
        "digitalocean": "vrrpd.movers.http.presets",
        "linode": "vrrpd.movers.http.presets",
        "vultr": "vrrpd.movers.http.presets",
        "scaleway": "vrrpd.movers.http.presets",
        "openstack": "vrrpd.movers.http.presets",
        "azure-route": "vrrpd.movers.http.presets",
        "gcp-route": "vrrpd.movers.http.presets",
        "exec": "vrrpd.movers.exec",
        "probe": "vrrpd.movers.probe",
        "route": "vrrpd.movers.route",
    }
)
"""Where each kind lives."""

KINDS: Final[Table[Kind]] = Table(MODULES)
"""All kinds by name."""
