"""Checks of clients: the suite plays the server, and with the help of a driver the user, and judges both sides.

`docs/driver.md` says what a driver is.  A client without one is started, and judged by what it does by itself.
"""
