"""Episodes: which images make a support and a query set, and how they are altered.

Everything here is NumPy only and a pure function of a seed and the episode's number.
"""
