"""Coroutine tests run as those of the frontend do."""

from __future__ import annotations

from tests.frontend.conftest import pytest_pyfunc_call as pytest_pyfunc_call
