"""Dynamic configuration: types, precedence and what happens to odd values (server_inventory 6.4)."""

from __future__ import annotations

import pytest

from perdure.config import dynamic
from perdure.config.devserver import DEV_DYNAMIC_CONFIG, with_dev_defaults
from perdure.config.document import BadDocument, parse_dynamic_config
from perdure.config.dynamic import DynamicConfig
from perdure.config.values import AllowedAddress, Constrained, Constraints, RetrySettings, Setting, parse_duration

_SECOND = 10**9


def test_defaults_are_the_references() -> None:
    """A few of each type; durations are nanoseconds, sizes bytes."""
    config = DynamicConfig()
    assert config.get(dynamic.BLOB_SIZE_LIMIT_ERROR, "any") == 2 * 1024 * 1024
    assert config.get(dynamic.HISTORY_COUNT_LIMIT_ERROR) == 51200
    assert config.get(dynamic.HISTORY_LONG_POLL_EXPIRATION_INTERVAL) == 20 * _SECOND
    assert config.get(dynamic.MATCHING_LONG_POLL_EXPIRATION_INTERVAL) == 60 * _SECOND
    assert config.get(dynamic.FRONTEND_WORKFLOW_PAUSE_ENABLED) is False
    assert config.get(dynamic.HISTORY_DEFAULT_ACTIVITY_RETRY_POLICY) == RetrySettings(_SECOND, 100.0, 2.0, 0)
    assert config.warnings == ()


def test_keys_compare_without_regard_to_case() -> None:
    """Suites spell keys in several ways."""
    config = DynamicConfig({"LIMIT.blobsize.ERROR": 10240, "frontend.workflowpauseenabled": True})
    assert config.get(dynamic.BLOB_SIZE_LIMIT_ERROR) == 10240
    assert config.get(dynamic.FRONTEND_WORKFLOW_PAUSE_ENABLED) is True


def test_every_key_of_the_conformance_suite_is_known_or_only_warned_about() -> None:
    """An unknown key is accepted; upstream has one with a typing mistake (CONFORMANCE section 1)."""
    config = DynamicConfig({"system.system.refreshNexusEndpointsMinWait": "0s", "limit.blobSize.warn": 2048})
    assert config.warnings == ("unknown dynamic config key 'system.system.refreshNexusEndpointsMinWait' is ignored",)
    assert config.get(dynamic.BLOB_SIZE_LIMIT_WARN) == 2048


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("limit.maxIDLength", 10.5),
        ("limit.maxIDLength", True),
        ("limit.maxIDLength", "10"),
        ("frontend.enableSchedules", 1),
        ("frontend.enableSchedules", "yes"),
        ("frontend.namespaceBurstRatio", "2"),
        ("frontend.shutdownDrainDuration", "soon"),
        ("frontend.shutdownDrainDuration", None),
        ("system.historyArchivalState", 3),
        ("history.defaultActivityRetryPolicy", [1]),
        ("callback.allowedAddresses", {"Pattern": "*"}),
    ],
)
def test_values_of_the_wrong_type_leave_the_default_and_warn(key: str, value: object) -> None:
    """Ints stay ints: a float, a bool or a string is none."""
    config = DynamicConfig({key: value})
    setting = dynamic.SETTINGS[key.lower()]
    assert config.get(setting) == setting.default
    assert len(config.warnings) == 1
    assert key in config.warnings[0]


def test_structured_values_are_typed() -> None:
    """Maps and lists become values with names."""
    config = DynamicConfig(
        {
            "callback.allowedAddresses": [{"Pattern": "*.example.com", "AllowInsecure": True}, {"pattern": "a"}],
            "history.defaultActivityRetryPolicy": {"InitialIntervalInSeconds": 3, "MaximumAttempts": 5},
            "frontend.httpAllowedHosts": ["a", "b"],
        }
    )
    assert config.get(dynamic.CALLBACK_ALLOWED_ADDRESSES) == (
        AllowedAddress("*.example.com", True),
        AllowedAddress("a", False),
    )
    assert config.get(dynamic.HISTORY_DEFAULT_ACTIVITY_RETRY_POLICY) == RetrySettings(3 * _SECOND, 100.0, 2.0, 5)
    assert config.get(dynamic.FRONTEND_HTTP_ALLOWED_HOSTS) == ("a", "b")


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("10s", 10 * _SECOND),
        ("0s", 0),
        ("0", 0),
        ("1m30s", 90 * _SECOND),
        ("1.5h", 5400 * _SECOND),
        ("2d", 172800 * _SECOND),
        ("1d12h", 129600 * _SECOND),
        ("250ms", 250_000_000),
        ("3us", 3000),
        ("-1s", -_SECOND),
        ("+2s", 2 * _SECOND),
        ("7", 7 * _SECOND),
        ("0.5", _SECOND // 2),
        ("9007199254740993ns", 9007199254740993),
    ],
)
def test_durations_are_written_as_in_go(text: str, nanoseconds: int) -> None:
    """Units of Go plus days; a bare number counts seconds."""
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "s", "1x", "1s ", "1 s", "1s2", "--1s", "1ss", "e"])
def test_malformed_durations_are_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match="invalid duration"):
        parse_duration(text)


def test_numbers_are_seconds_where_a_duration_is_wanted() -> None:
    """JSON numbers too."""
    config = DynamicConfig({"frontend.keepAliveTime": 5, "frontend.keepAliveTimeout": 0.5})
    assert config.get(dynamic.FRONTEND_KEEP_ALIVE_TIME) == 5 * _SECOND
    assert config.get(dynamic.FRONTEND_KEEP_ALIVE_TIMEOUT) == _SECOND // 2


def test_namespace_precedence() -> None:
    """The namespace's own value, then the one without constraints, then the default; global settings know only one."""
    config = DynamicConfig()
    config.replace(
        {
            "limit.blobSize.error": [Constrained(1), Constrained(2, Constraints(namespace="a"))],
            "limit.blobSize.warn": [Constrained(3, Constraints(namespace="a"))],
            "limit.maxIDLength": [Constrained(4, Constraints(namespace="a"))],
        }
    )
    assert config.get(dynamic.BLOB_SIZE_LIMIT_ERROR, "a") == 2
    assert config.get(dynamic.BLOB_SIZE_LIMIT_ERROR, "b") == 1
    assert config.get(dynamic.BLOB_SIZE_LIMIT_WARN, "b") == 512 * 1024
    assert config.get(dynamic.MAX_ID_LENGTH, "a") == 1000


def test_task_queue_precedence() -> None:
    """Namespace + queue + type, namespace + queue, queue, namespace, none."""
    key = dynamic.MATCHING_NUM_TASK_QUEUE_READ_PARTITIONS
    values = [
        Constrained(1),
        Constrained(2, Constraints(namespace="n")),
        Constrained(3, Constraints(task_queue="q")),
        Constrained(4, Constraints(namespace="n", task_queue="q")),
        Constrained(5, Constraints(namespace="n", task_queue="q", task_type=2)),
    ]
    config = DynamicConfig()
    seen = []
    for count in range(1, 6):
        config.replace({key.key: values[:count]})
        seen.append(config.get(key, "n", "q", 2))
    assert seen == [1, 2, 3, 4, 5]
    assert config.get(key, "n", "q", 1) == 4
    assert config.get(key, "other", "q") == 3
    assert config.get(key, "n", "other") == 2


def test_destination_precedence() -> None:
    """Namespace + destination, destination, namespace, none."""
    key = dynamic.CALLBACK_REQUEST_TIMEOUT
    values = [
        Constrained("1s"),
        Constrained("2s", Constraints(namespace="n")),
        Constrained("3s", Constraints(destination="d")),
        Constrained("4s", Constraints(namespace="n", destination="d")),
    ]
    config = DynamicConfig()
    config.replace({key.key: values})
    cases = [("x", "x"), ("n", "x"), ("x", "d"), ("n", "d")]
    assert [config.get(key, n, destination=d) // _SECOND for n, d in cases] == [1, 2, 3, 4]


def test_replacing_forgets_what_was_set() -> None:
    """A reload is the whole truth, warnings included."""
    config = DynamicConfig({"limit.maxIDLength": 5, "nonsense": 1})
    config.replace({})
    assert config.get(dynamic.MAX_ID_LENGTH) == 1000
    assert config.warnings == ()


def test_documents_are_temporals() -> None:
    """A map of key to a list of values with constraints."""
    parsed = parse_dynamic_config(
        {
            "limit.blobSize.error": [
                {"value": 7, "constraints": {"namespace": "a"}},
                {"value": 8, "constraints": {}},
                {"value": 9, "constraints": {"shardId": 3}},
            ],
            "matching.numTaskqueueReadPartitions": [
                {"value": 2, "constraints": {"taskQueueName": "q", "taskType": "Activity"}},
                {"value": 3, "constraints": {"taskQueueName": "q", "taskType": 1}},
            ],
        }
    )
    assert parsed["limit.blobSize.error"] == [Constrained(7, Constraints(namespace="a")), Constrained(8)]
    assert [entry.constraints.task_type for entry in parsed["matching.numTaskqueueReadPartitions"]] == [2, 1]
    assert parse_dynamic_config(None) == {}


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"k": 1},
        {"k": [1]},
        {"k": [{"constraints": {}}]},
        {"k": [{"value": 1, "constraints": [1]}]},
        {"k": [{"value": 1, "constraints": {"nope": 1}}]},
        {"k": [{"value": 1, "constraints": {"namespace": 1}}]},
        {"k": [{"value": 1, "constraints": {"taskType": "fast"}}]},
    ],
)
def test_documents_with_mistakes_are_refused_whole(document: object) -> None:
    """So that a reload keeps the old values."""
    with pytest.raises(BadDocument):
        parse_dynamic_config(document)


def test_dev_defaults_give_way_to_what_is_asked_for() -> None:
    """Whatever its spelling, a key on the command line beats the dev server's default."""
    merged = with_dev_defaults({"FRONTEND.namespacerps.visibility": 7})
    config = DynamicConfig(merged)
    assert config.get(dynamic.FRONTEND_NAMESPACE_VISIBILITY_RPS) == 7
    assert config.get(dynamic.SYSTEM_FORCE_SEARCH_ATTRIBUTES_CACHE_REFRESH_ON_READ) is True
    assert config.warnings == ()
    assert all(key.lower() in dynamic.SETTINGS for key in DEV_DYNAMIC_CONFIG)


def test_keys_are_unique() -> None:
    """Two constants for one key would let readers disagree."""
    constants = [value for value in vars(dynamic).values() if isinstance(value, Setting)]
    assert len(constants) == len(dynamic.SETTINGS) > 150
