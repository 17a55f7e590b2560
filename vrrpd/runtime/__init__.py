"""The shell around the protocol core: events in, effects out, and the tasks that carry them."""
