"""Firms that register themselves: opened in one go, their parts carried by lanes, and who may come in."""
