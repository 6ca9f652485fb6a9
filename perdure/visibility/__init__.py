"""Visibility: which executions there are, by their attributes (semantics 15).

The pure part goes text -> `query.parse` -> `resolve.resolve` -> typed tree, which `evaluate.matches` runs over a record
in memory and `sql.list_page` / `sql.count` turn into one statement. Nothing here opens a connection: stores run what
they are given, in their own transactions.
"""
