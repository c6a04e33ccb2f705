"""Consoles: a terminal on this or another node behind a port, for one client, with an end (guests 9).

`protocol` is what client and console say to each other, without I/O; `terminal` a program on a terminal of
its own; `server` connects the two; `session` opens a console as a task. The way from the browser to the port
is `quorate.api.relay`.
"""
