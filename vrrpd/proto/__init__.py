"""The protocol core: VRRP without I/O, clock or randomness (RFC 9568, RFC 5798, RFC 3768)."""
