"""Somebody on the link recorded what a node advertised, and plays it back, again and again, at its own pace."""

from __future__ import annotations

from typing import ClassVar

from netns_lab import helper
from netns_lab.errors import LabError
from netns_lab.lab import Lab
from netns_lab.topology import CLIENT

_NAME = "replayer"


class AdvertsReplayed:
    """Plays back all that a node has advertised until now, from the host `client`: what `ref` sends is not recorded."""

    kind: ClassVar[str] = "adverts-replayed"
    summary: ClassVar[str] = "another host of the link plays back what the node advertised until now"
    cuts: ClassVar[bool] = False

    def inject(self, lab: Lab, node: str) -> None:
        """Begin."""
        source = lab.node(node).host.address(lab.agent(node).service.family)
        argv = helper.command(_NAME, str(lab.capture), source)
        player = lab.node(CLIENT).start(_NAME, argv, environment=helper.environment())
        player.wait_line("plays", 10)

    def heal(self, lab: Lab, node: str) -> None:
        """End.

        Raises:
            LabError: it has ended before.
        """
        player = lab.node(CLIENT).processes[_NAME]
        if not player.running:
            raise LabError(f"the replay of {node} has ended: {player.output().strip()}")
        player.end()
