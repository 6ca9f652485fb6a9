"""Configuration as typed values: nothing here opens a port or a store.

`dynamic.py` holds the settings that may change while a server runs, `devserver.py` what the command line of
`perdure server start-dev` says.
"""
