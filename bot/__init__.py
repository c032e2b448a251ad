"""The top floor: the running server. Carries everything, knows everyone."""
