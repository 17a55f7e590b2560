"""The table of the kinds of movers.

A new kind is one file, one line here and one test file that runs the contract every kind keeps. A module is imported
when a file first names its kind: HTTP and cloud libraries take longer to import than the rest of the agent, and who
moves no elastic address does not wait for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final

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
"""Where each kind lives: a module with a table `KINDS` of name -> `Kind`."""


class _Kinds(Mapping[str, Kind]):
    """All kinds by name; a module is imported when one of its kinds is asked for."""

    def __getitem__(self, name: str) -> Kind:
        return import_module(MODULES[name]).KINDS[name]

    def __contains__(self, name: object) -> bool:
        return name in MODULES

    def __iter__(self) -> Iterator[str]:
        return iter(MODULES)

    def __len__(self) -> int:
        return len(MODULES)


KINDS: Final[Mapping[str, Kind]] = _Kinds()
