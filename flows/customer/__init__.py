"""The customers of a firm: what it tells of itself, what they want, and the conversation between the two."""
