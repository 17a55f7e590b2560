"""The judges: what a recorded history proves, and what it does not.

A judge looks at one expectation of a scenario and at the history, and at nothing else. It says passed, failed or
unknown; unknown where the history does not have what the question needs, which is never quietly a pass.
"""
