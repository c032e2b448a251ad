"""How a firm comes to us: what it is called, what it does, who speaks for it."""
