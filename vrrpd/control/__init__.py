"""How other programs meet a running agent: JSON lines on a unix socket, the lock that keeps agents apart, systemd.

`messages` has the wire format, `server` the agent's end, `client` the command's end (standard library only, so that a
command starts fast), `lock` the one-agent-per-network-namespace rule, `service` the word to the service manager.
`drains` answers `vrrpd drain` and `undrain`; `kept_drains` has the form, `state_file` the file that outlive a reboot.
"""
