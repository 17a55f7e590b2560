"""Who is behind a netlink port, for people."""

from __future__ import annotations

import os

from vrrpd.linux.requester import requester


def test_a_process_that_lives_is_named() -> None:
    assert requester(os.getpid()).endswith(f" (pid {os.getpid()})")


def test_one_that_has_ended_and_a_port_that_is_no_process_are_told_by_their_number() -> None:
    assert requester(4_123_456_789) == "a process that has ended (netlink port 4123456789)"
