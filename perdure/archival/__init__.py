"""The archive: what is kept of closed workflows beyond their retention, in stores that are no database.

`api.py` is the protocol of a provider, `files.py` the one for `file://`, `providers.py` finds the provider of a URI,
`query.py` is the small language of archived lists. Nothing here knows a workflow, a namespace's settings or an RPC.
"""
