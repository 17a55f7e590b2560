"""netns-lab: failovers on one desk, in network namespaces, measured in milliseconds.

A black box to the agents that it runs: it sees packets, the addresses in the kernel and command lines, and so runs the
same scenario with any of them. `lab` has the class that everything hangs on; `cli` the command.
"""
