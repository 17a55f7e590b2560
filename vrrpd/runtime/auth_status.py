"""Who signs, who verifies: what `vrrpd auth status` prints.

The keys of the object are a contract. A node knows its own rules and what it hears; what a silent Backup would sign
with shows only once it speaks. No secret is in here, and none could be: keys are named by their ids.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from vrrpd.proto.auth import Authenticator, Sighting
from vrrpd.proto.credentials import AntiReplay, Password
from vrrpd.proto.timers import SECOND
from vrrpd.runtime.routers import Router
from vrrpd.runtime.status import Moment
from vrrpd.runtime.supervisor import Runtime


def auth_status(runtime: Runtime, node: str) -> dict[str, Any]:
    """The authentication of every virtual router.

    Args:
        runtime: what runs.
        node: our name in the configuration.
    """
    moment = Moment(runtime.now(), datetime.now(UTC))
    return {
        "node": node,
        "generated_at": moment.of(moment.now),
        "routers": [
            _member(router, index, moment)
            for router in runtime.routers.values()
            for index in range(len(router.members))
        ],
    }


def _member(router: Router, index: int, moment: Moment) -> dict[str, Any]:
    spec, keys = router.members[index].spec, router.group.members[index].authenticator
    settings = spec.settings
    method = "hmac" if keys else "password" if isinstance(settings.auth, Password) else "none"
    found: dict[str, Any] = {
        "name": spec.router,
        "vrid": settings.vrid,
        "family": str(settings.family),
        "method": method,
    }
    if keys is None:
        return found
    timed = keys.hmac.anti_replay is AntiReplay.TIME
    return found | {
        "mode": str(keys.hmac.mode),
        "keys": [key_id for key_id, _ in keys.hmac.ring],
        "active_key": keys.hmac.active_key if keys.signs else None,
        "anti_replay": str(keys.hmac.anti_replay),
        "time_window_s": keys.hmac.time_window / SECOND if timed else None,
        "clock_step_s": round(keys.clock.step / SECOND, 3),
        "senders": [_sender(each, spec.names.get(each.source), keys, moment) for each in keys.sightings],
    }


def _sender(sighting: Sighting, name: str | None, keys: Authenticator, moment: Moment) -> dict[str, Any]:
    signed = sighting.key_id is not None
    standing = "bad" if sighting.refused else "signed" if signed else "unsigned"
    return {
        "address": str(sighting.source),
        "node": name,
        "standing": standing,
        "key": sighting.key_id,
        "reason": str(sighting.refused) if sighting.refused else None,
        "since": moment.of(sighting.since),
        "last_s": round((moment.now - sighting.last) / SECOND, 3),
        "count": sighting.count,
        "clock_ahead_s": round(keys.ahead(sighting.source) / SECOND, 3) if signed else None,
    }
