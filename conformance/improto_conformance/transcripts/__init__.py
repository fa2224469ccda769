"""Transcripts: what happened, how it is kept in files, and what of it can be compared with another run.

A *complaint* about a transcript (`complaints`) is text; all that judges and all that reports has this form in common.
"""
