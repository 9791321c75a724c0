"""The generated CNN: which layers it has, and pure functions that run it with given weights."""
