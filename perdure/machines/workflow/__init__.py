"""The workflow machine: chains of runs, their tasks, activities and timers, as pure functions over plain state."""
