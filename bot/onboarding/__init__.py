"""How a firm comes to its own bot."""
