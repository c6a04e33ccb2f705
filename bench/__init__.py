"""`./dev bench`: how fast the cluster file system is, measured against Corosync's round trip in the same run.

Standard library and lab only. What is measured stands in ``lines``; docs/guide/bench.md explains the table.
"""
