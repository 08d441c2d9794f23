"""Uses a client that was generated from the OpenAPI document. Arguments: address, token, project."""

import sys
import time

from rs_worker_client import AuthenticatedClient
from rs_worker_client.api.messages import list_messages, send_message
from rs_worker_client.api.permissions import answer_prompt, list_prompts
from rs_worker_client.api.workers import create_worker, delete_worker, get_worker, list_workers
from rs_worker_client.models import Error, NewMessage, NewWorker, PromptAnswerType0, WorkerStatus

DEADLINE_SECONDS = 30


def until(client, worker_id, wanted):
    """Waits until a worker has a status."""
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        worker = get_worker.sync(worker_id, client=client)
        if worker.status is wanted:
            return worker
        time.sleep(0.05)
    raise SystemExit(f"the worker is {worker.status}, not {wanted}")


address, token, project = sys.argv[1:]
with AuthenticatedClient(base_url=address, token=token) as client:
    made = create_worker.sync(client=client, body=NewWorker(name="generated", project_path=project, ai_cli_type="claude"))
    until(client, made.id, WorkerStatus.IDLE)
    taken = send_message.sync(made.id, client=client, body=NewMessage(content="echo hello"))
    assert taken.state in ("queued", "delivered", "consumed"), taken
    while until(client, made.id, WorkerStatus.IDLE).turns < 1:
        pass
    page = list_messages.sync(made.id, client=client, types="user,assistant")
    for event in page.messages:
        print(event.type_, event.content)
        assert event.seq <= page.last_seq
    assert [worker.id for worker in list_workers.sync(client=client).workers] == [made.id]

    send_message.sync(made.id, client=client, body=NewMessage(content='permission Bash {"command":"ls"}'))
    until(client, made.id, WorkerStatus.WAITING)
    (prompt,) = list_prompts.sync(client=client).permissions
    answered = answer_prompt.sync(made.id, prompt.request_id, client=client, body=PromptAnswerType0(option_id="deny"))
    print(answered.status, answered.answer.decision)
    print(delete_worker.sync(made.id, client=client).status)
    unknown = get_worker.sync_detailed(made.id, client=client)
    assert isinstance(unknown.parsed, Error)
    print(unknown.status_code.value, unknown.parsed.detail.split(":")[0])
