"""A register of taxpayers: what is publicly known of a RUT."""
