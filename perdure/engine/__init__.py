"""The engine runs durable entities: a mailbox for each chain, one committer, alarms, effects, and a cache bounded in
bytes.
"""
