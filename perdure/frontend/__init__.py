"""The RPC surface: requests are checked, named as inputs, submitted, and their outcomes written as responses.

One module per group of RPCs. Nothing here decides what a workflow does (machines do) or touches rows of one (the
engine does). Beside the groups stand

* the way in and out of every call: `service`, `interceptors` with `rate_limits` and `versions`, `services` (what a
  handler is given), `status` (what an error looks like on the wire);
* checks that several groups share: `validate`, `sizes`, `links`, `callback_checks`, `worker_calls`;
* requests made into inputs: `start_inputs`, `schedule_inputs`, `search_attribute_inputs`, `command_inputs`,
  `reset_targets`;
* state made into answers: `describe`, `histories`, `task_responses`, `tokens`; `turns` for those that take long;
* performers of entities of one row: `schedule_actions`, `batch_work`, `namespace_deletion`.
"""
