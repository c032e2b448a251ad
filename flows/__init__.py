"""The ground floor: what is said and decided. Pure: no I/O, no clock, no asyncio."""
