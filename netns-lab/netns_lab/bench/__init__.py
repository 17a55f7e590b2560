"""The benchmark: what an agent costs, how late it is, and how far it scales; keepalived beside it in the same run."""
