"""Clerk: the web's login. Its users become people here, and its sessions are taken for what they prove."""
