"""Schedules: what their specs say, and the machine that starts workflows by them (semantics 13)."""
