"""Copies of the file system's database: SQL dumps, the directory they are kept in, who may touch the file.

Knows the file and its one table, not what its rows mean: that is ``quorate.pmxcfs``.
"""
