"""`./dev bench`: how fast the cluster file system is, measured against Corosync's round trip in the same run,
and how fast the API and the web interface are.

Standard library and lab only, but for what runs elsewhere (`node_*` in the nodes, `browser` in .venv).
What is measured stands in ``lines``; docs/guide/bench.md explains the table.
"""
