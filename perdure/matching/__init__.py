"""Matching: the runtime of task-queue partitions. What it decides is decided in `perdure.machines.partition`."""
