"""Says who violated which clause, and reads nothing for it but a transcript and what the server declares.

`judge` is for what a server sent, `client_judge` for what clients sent, and `verdict` for both in live traffic.  `sent` is
about the form of the bytes, and `alike` about differences between runs.  The modules below `judge` explain what was
received by an order of the requests (`search`) in a model of the specification (`model`).
"""
