"""The other side of WhatsApp: Meta's Cloud API towards the bot, and phones towards a person.

It shares no code with the rest of this folder: it reads and writes payloads from Meta's reference alone, so that a
mistake of ours is seen.
"""
