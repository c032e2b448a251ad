"""Tests of how a firm comes to its own bot."""
