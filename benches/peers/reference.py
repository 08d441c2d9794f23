"""A service as one writes it with FastAPI: a list of workers, and a WebSocket that carries a program's lines as JSON.

It is what the benches measure rs-worker against, written for that purpose. It keeps no journal.
"""

import asyncio
import os
import uuid
from datetime import datetime, timezone

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from pydantic import BaseModel

app = FastAPI()


class Worker(BaseModel):
    id: str
    name: str
    project_path: str
    ai_cli_type: str
    status: str
    created_at: datetime
    last_activity: datetime


class WorkerList(BaseModel):
    workers: list[Worker]


def now() -> datetime:
    return datetime.now(timezone.utc)


WORKERS = [
    Worker(
        id=str(uuid.uuid4()),
        name=f"w{number}",
        project_path="/home/user/project",
        ai_cli_type="printer",
        status="idle",
        created_at=now(),
        last_activity=now(),
    )
    for number in range(int(os.environ.get("WORKERS", "10")))
]


@app.get("/api/workers", response_model=WorkerList)
async def list_workers() -> WorkerList:
    return WorkerList(workers=WORKERS)


@app.websocket("/ws/{worker_id}")
async def follow(socket: WebSocket, worker_id: str) -> None:
    await socket.accept()
    await socket.receive_text()
    printer = await asyncio.create_subprocess_exec(
        os.environ["PRINTER"], *os.environ["PRINTER_ARGS"].split(), stdout=asyncio.subprocess.PIPE
    )
    try:
        async for line in printer.stdout:
            time = now().isoformat()
            content = {"type": "assistant", "content": line.decode().rstrip("\n"), "timestamp": time}
            await socket.send_json({"type": "output", "worker_id": worker_id, "timestamp": time, "content": content})
        await socket.receive_text()
    except WebSocketDisconnect:
        pass
    finally:
        if printer.returncode is None:
            printer.kill()
        await printer.wait()
