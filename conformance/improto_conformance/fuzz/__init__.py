"""Fuzzing: random inputs that nobody has thought of.  They are made from a seed, so that each can be made again."""
