"""Pure machines: one per kind of durable entity. Nothing here does I/O, reads a clock, draws randomness, logs or
awaits.
"""
