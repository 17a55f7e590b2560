"""A cloud to try movers on: what its services do, as their documents say, and the faults that they have.

Part of the lab and, in process, of the tests of the movers. Nothing of it leaves the machine.
"""

CONTROL = "/_fault"
"""The path of the fake EC2 where things are made to go wrong."""
