"""The agents that a scenario can be run with, behind one description of what is asked of them."""
