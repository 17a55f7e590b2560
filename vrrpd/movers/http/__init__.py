"""A cloud's API as a declaration: what to ask, what to send, what the answer means.

    full        the kind `http`: its declaration stands in the file
    presets     nine clouds by name: the declaration stands here, the file has the ids
    preset      what those nine share
    declared    the vocabulary, and what of it is refused before anything runs
    engine      the mover: carries a declaration out
    auth        secrets and tokens, and how they go into a request
    service     one call: URL, headers and body there, status and JSON back
    templates   `{name}` in a text, `a.b.c` into an answer

No loops, no expressions, no shell: who needs one writes an `exec` mover.
"""
