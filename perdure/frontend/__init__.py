"""The RPC surface: requests are checked, named as inputs, submitted, and their outcomes written as responses.

One module per group of RPCs. Nothing here decides what a workflow does (machines do) or touches rows of one (the
engine does).
"""
