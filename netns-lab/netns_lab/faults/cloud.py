"""What goes wrong between a node and the cloud, or in it. The node `cloud` stands for all of them at once.

Healing one of these heals all of them, but for a cable: the cloud has one switch for everything that goes wrong in it.
"""

from __future__ import annotations

from typing import ClassVar

from netns_lab.cloud.client import EVERYBODY
from netns_lab.lab import Lab
from netns_lab.topology import CLOUD

_MUTATIONS = "Associate*"


class _CloudFault:
    """A rule of the cloud, about one node or all of them."""

    cuts: ClassVar[bool] = False

    def heal(self, lab: Lab, node: str) -> None:
        """Take it back."""
        lab.cloud.heal()


class CloudSlow(_CloudFault):
    """Lets the cloud take longer for a change than anybody waits for it."""

    kind: ClassVar[str] = "cloud-slow"
    summary: ClassVar[str] = "the cloud takes 5 s for each change, also for callers that gave up"

    def inject(self, lab: Lab, node: str) -> None:
        """Make it slow."""
        lab.cloud.fault("late", _whose(node), action=_MUTATIONS, delay=5)


class CloudLate(_CloudFault):
    """Lets the node's next change happen later than that of the node which comes after it."""

    kind: ClassVar[str] = "cloud-late"
    summary: ClassVar[str] = "the node's next change is carried out 1.5 s late, also if the node gave up"

    def inject(self, lab: Lab, node: str) -> None:
        """Make one late."""
        lab.cloud.fault("late", _whose(node), action=_MUTATIONS, delay=1.5, n=1)


class CloudThrottled(_CloudFault):
    """Lets the cloud answer that there are too many calls."""

    kind: ClassVar[str] = "cloud-throttled"
    summary: ClassVar[str] = "the cloud throttles: RequestLimitExceeded, status 503"

    def inject(self, lab: Lab, node: str) -> None:
        """Throttle."""
        lab.cloud.fault("error", _whose(node), code="RequestLimitExceeded", status=503)


class CloudRefuses(_CloudFault):
    """Takes the right to move addresses away."""

    kind: ClassVar[str] = "cloud-refuses"
    summary: ClassVar[str] = "the cloud refuses changes: UnauthorizedOperation, status 403"

    def inject(self, lab: Lab, node: str) -> None:
        """Refuse."""
        lab.cloud.fault("error", _whose(node), action=_MUTATIONS, code="UnauthorizedOperation", status=403)


class CloudStolen(_CloudFault):
    """Lets a third party take the elastic address, once."""

    kind: ClassVar[str] = "cloud-stolen"
    summary: ClassVar[str] = "a third party lets the elastic address point to itself"

    def inject(self, lab: Lab, node: str) -> None:
        """Steal it."""
        lab.cloud.fault("steal", EVERYBODY, n=1)


class CloudCutOff:
    """Pulls the node's cable to the cloud."""

    kind: ClassVar[str] = "cloud-cut-off"
    summary: ClassVar[str] = "the node's cable to the cloud is pulled; nothing answers any more, nothing is refused"
    cuts: ClassVar[bool] = False

    def inject(self, lab: Lab, node: str) -> None:
        """Pull it."""
        for name in _names(lab, node):
            lab.cloud.set_cable(name, plugged=False)

    def heal(self, lab: Lab, node: str) -> None:
        """Plug it in."""
        for name in _names(lab, node):
            lab.cloud.set_cable(name, plugged=True)


def _whose(node: str) -> str:
    return EVERYBODY if node == CLOUD else node


def _names(lab: Lab, node: str) -> list[str]:
    return [host.name for host in lab.members()] if node == CLOUD else [node]
