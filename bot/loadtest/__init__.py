"""A deployment under load, judged: the work of `smarterbot loadtest`."""
