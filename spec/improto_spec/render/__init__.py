"""The tables of the code, written out for readers in other languages: one module for each file.

Each is a pure function from the tables to the text of its file, so a file is stale exactly if it differs.
"""
