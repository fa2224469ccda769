"""Fuzzing: inputs that nobody has thought of, made by chance from a seed, so that each can be made again."""
