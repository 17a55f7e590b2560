"""The soak: hours of quiet at a short interval on a machine that is busy, in which nothing must happen.

`run` builds a lab, starts a load on every core (`load`), watches what the kernels and the wire say (`tally`), and makes
a report of it. `witness` tells a machine that stood still from an agent that was late.
"""
