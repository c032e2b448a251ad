"""The middle floor: one room for each outer system, how we hear it and how we speak to it."""
