"""SQL of the stores: schema as numbered migrations, and statements per dialect. Text only.

Nothing here talks to a database.
"""
