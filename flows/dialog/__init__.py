"""The language that conversations are written in, and the pure function that runs it."""
