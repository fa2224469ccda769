"""Checks of servers: the suite plays all of the clients.

A *target* is the server (`targets`).  Parties (`party`) meet on a stage (`stage`), and do there what a check tells them
(`check`, `checks`).  `runner` runs checks and judges them; `embed` does so in your own tests.  `replay` runs transcripts
again instead of checks, and `shrink` makes them shorter.
"""
