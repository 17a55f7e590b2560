"""The probes: what a client of the shared address would have noticed, to the millisecond.

`icmp` and `http` are processes of their own inside the client's namespace; `pacing` is their clock, `client` the
lab's end of them. Both ask two targets at the same pace: the shared address, and beside it a control that never
moves. A gap in the control's answers says that the machine stood still, not the service.
"""
