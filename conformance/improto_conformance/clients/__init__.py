"""Checks of clients: the suite plays the server and, by means of a driver, the user, and judges what the client does to both.

`docs/driver.md` says what a driver is.  A client without a driver is started, and judged by what it does on its own.
"""
