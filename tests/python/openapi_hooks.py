"""Hooks of schemathesis beside its configuration."""

import os

import schemathesis
from schemathesis.openapi.checks import RejectedPositiveData, UseAfterFree


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """DELETE on a queue takes its messages back. The queue itself is there as long as its worker. And a schema can't say
    which bytes are of an attachment's media type, nor that an id is good for one message, nor what makes MCP
    servers a whole."""
    if isinstance(failure, RejectedPositiveData):
        has_attachments = isinstance(case.body, dict) and case.body.get("attachments")
        return not (has_attachments or "key_reused" in response.text or '"mcp_servers"' in response.text)
    return not (isinstance(failure, UseAfterFree) and failure.free.endswith("/queue"))


@schemathesis.hook
def after_call(context, case, response):
    """Writes down what was asked and answered, so that the test sees that no route was left out."""
    with open(os.environ["ANSWERS"], "a", encoding="utf-8") as answers:
        print(case.operation.label, response.status_code, file=answers)


# More than the workers of a run use.
BUDGET_ROOM = 1_000_000


@schemathesis.hook
def before_call(context, case, kwargs):
    """Gives each valid limit of a budget room: a budget that is used up interrupts the workers that other routes need."""
    limits = case.body.get("limits") if isinstance(case.body, dict) and "/budgets" in case.operation.path else None
    for name, limit in (limits if isinstance(limits, dict) else {}).items():
        if isinstance(limit, (int, float)) and not isinstance(limit, bool) and 0 <= limit < BUDGET_ROOM:
            limits[name] = limit + BUDGET_ROOM
