"""Everything that meets the kernel: timer, raw sockets, netlink, link-layer frames and `/proc/sys`.

Owns each system call of the agent that is about time, packets or addresses, and maps what the kernel answers to values
of ours, once, here. It knows no virtual router: which datagram is sent when, and who holds an address, is decided
above. Two rules hold for every module:

- Nothing waits without saying so. What an event loop may call returns at once or is `async`; the one blocking socket
  (`netlink.Netlink`) belongs to a worker thread, because the kernel takes its time (tens of milliseconds were seen)
  inside a write.
- A condition of the network is a value (`send_error.SendError`), not an exception. Exceptions are for what a person
  must mend before the agent can work (`VrrpdError`) and for a refused change of the kernel's tables
  (`netlink.NetlinkError`).
"""
