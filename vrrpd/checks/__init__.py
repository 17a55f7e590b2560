"""Health checks: is what stands behind the shared address able to serve?

One file for each kind, `base` for what they share, `registry` for the explicit table of kinds. Nothing here knows of
routers, roles or priorities: a check reports up or down, and the daemon decides what that means.
"""
