"""Errors of the lab: whose fault they are decides the exit status.

`CannotRunError` is a condition of the machine or of what was asked (exit status 2): no root, a program that is
missing, an unknown scenario. `LabError` is something that went wrong while a lab ran: a program that did not get
ready, a step that waited in vain. A measurement outside its bounds is neither: it is a verdict.
"""

from __future__ import annotations


class LabError(Exception):
    """Something in a running lab did not do what a step needed."""


class CannotRunError(LabError):
    """The lab cannot run here, or not what was asked; the text says what is missing and how to get it."""
