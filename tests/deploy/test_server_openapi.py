"""The server is as it is described: schemathesis asks by its description, and finds no fault."""

from __future__ import annotations

import logging
from contextlib import suppress

import pytest

from tests.helpers.serving import serving, tiny_estimator

EXAMPLES = 150


@pytest.mark.slow
def test_schemathesis_finds_no_fault():
    schemathesis = pytest.importorskip("schemathesis", reason="pip install schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis.errors import Unsatisfiable
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    checks = [
        not_a_server_error, status_code_conformance, content_type_conformance,
        response_schema_conformance,
    ]  # fmt: skip
    asked = {}
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    with serving(tiny_estimator()) as server:
        schema = schemathesis.openapi.from_asgi("/openapi.json", server.app)
        for result in schema.get_all_operations():
            operation = result.ok()
            for mode in schemathesis.GenerationMode:
                strategy = operation.as_strategy(generation_mode=mode)

                @given(case=strategy)
                @settings(
                    max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
                    suppress_health_check=list(HealthCheck), phases=[Phase.generate],
                )  # fmt: skip
                def ask(case):
                    answer = case.call()
                    asked.setdefault(case.operation.label, set()).add(answer.status_code)
                    case.validate_response(answer, checks=checks)

                with suppress(Unsatisfiable):  # nothing can be wrong where nothing is given
                    ask()
    assert len(asked) == 5
    assert 200 in asked["GET /v1/model"] & asked["POST /v1/poses"]
    assert not {status for each in asked.values() for status in each if status >= 500}
