"""The configuration: from a YAML file to what one node is to do.

The way of a file, one module each:

```
bytes --loader--> tree --model, words--> typed keys --lint_*--> judged --members, resolve--> AgentSpec
      (YAML)     (tree)  (scalars)        (file)      (routers)           (host facts)       (spec)
```

Every mistake ends as a `Mistake` with line and column, and all mistakes of a file are reported at once: what is wrong
is cut out of the tree and the rest is judged on. `schema` describes the same keys to editors, and `simulate` tries out
on the protocol core what every single failure would lead to.

This package knows no check and no mover, opens no socket and asks no kernel: kinds and facts of the host are handed in.
"""

from vrrpd.config.file import File
from vrrpd.config.kinds import CheckKind, Kinds, MoverKind, Table
from vrrpd.config.resolve import Examination, examine, load, read, resolve
from vrrpd.config.schema import json_schema
from vrrpd.config.spec import (
    AgentSpec,
    Announce,
    CheckSpec,
    HostAddress,
    HostFacts,
    MemberSpec,
    MoverSpec,
    PeerSpec,
    RouterSpec,
    SharedAddress,
    TrackSpec,
)

__all__ = [
    "AgentSpec",
    "Announce",
    "CheckKind",
    "CheckSpec",
    "Examination",
    "File",
    "HostAddress",
    "HostFacts",
    "Kinds",
    "MemberSpec",
    "MoverKind",
    "MoverSpec",
    "PeerSpec",
    "RouterSpec",
    "SharedAddress",
    "Table",
    "TrackSpec",
    "examine",
    "json_schema",
    "load",
    "read",
    "resolve",
]
