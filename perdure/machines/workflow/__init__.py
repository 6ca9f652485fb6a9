"""The workflow machine: chains of runs, their tasks, activities and timers, as pure functions over plain state.

A map of this folder; every module stands in it once.

* The door is `machine`: a chain and an input go in; what changes, what is answered and what is to be done come out.
  What must have been looked up before: `needs`. Inputs and their outcomes: `inputs`, `start_inputs`, `task_inputs` and
  `activity_inputs` (what workers ask and say, with the `task_token`), `query_inputs`, `update_inputs`,
  `operator_inputs`, and what chains send each other, `exchange`. `target` finds the run that an input means. What comes
  out: `effects`, `calls` to other chains among them.
* State is plain values. `chain` is a chain and its runs, `execution` a run, `run_info` what is fixed when a run starts;
  the rest is what these hold: `pending_task`, `pending_activity`, `child`, `callback`, `pending_update`, `origin`,
  `run_operations`, `rule`, `bad_attributes`. The reset points (`reset_points`), the override (`overrides`), the
  attached requests (`request_ids`) and the signals that links name (`signal_events`) come each with what is asked of
  them.
* A step changes a `draft`, which records events and goes by their `event_types`. `apply` turns every event into
  recorded state, with `recorded_activity` and `info_changes`, and nothing else does.
* Storage: `codec` writes and reads a run by the numbers in `parts`; `stored_forms`, `kin_rows` and `sections` say what
  its pieces look like there.
* The life of a run: `start` with `start_fields`, `runs` (first and next of a chain), `workflow_task`, `completion` with
  the folder `commands`, `activity_task` with `activity_info`, `signals`, `close`, `reset`, `archive`, `deletion`.
* Queries and updates: `queries`, `updates`, `update_messages`.
* What operators do: `activity_operations`, `pause` with `pause_info`, `options`, `rules`. Which worker's build goes on:
  `builds`.
* Between chains: `kin` (children, parents), `external` (signals and cancel requests), `owed` (what is to be sent now),
  `outbound` (how it travels), `minted_ids` (its request ids). To others: `callbacks` with `invocations`, and
  `internal_callbacks`.
* At the end of each step: `offers` to matching, the `alarm`, what the run weighs (`weight`, `external_payloads`).
"""
