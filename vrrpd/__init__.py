"""vrrpd: a VRRP high-availability agent on trio."""

__version__ = "0.1.0"
