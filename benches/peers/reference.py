"""A service as one writes it with FastAPI: a list of workers, and a WebSocket that carries a program's lines as JSON.

It is what the benches measure rs-worker against, written for that purpose. It keeps no journal.
"""

import asyncio
import os
import uuid
from datetime import datetime, timezone

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()


def now() -> datetime:
    return datetime.now(timezone.utc)


class Worker:
    def __init__(self, number: int) -> None:
        self.id = str(uuid.uuid4())
        self.name = f"w{number}"
        self.project_path = "/home/user/project"
        self.ai_cli_type = "printer"
        self.status = "idle"
        self.created_at = now()
        self.last_activity = self.created_at

    def to_dict(self) -> dict:
        return {
            "id": self.id,
            "name": self.name,
            "project_path": self.project_path,
            "ai_cli_type": self.ai_cli_type,
            "status": self.status,
            "created_at": self.created_at.isoformat(),
            "last_activity": self.last_activity.isoformat(),
        }


workers = {worker.id: worker for worker in map(Worker, range(int(os.environ.get("WORKERS", "10"))))}


@app.get("/api/workers")
async def list_workers() -> dict:
    return {"workers": [worker.to_dict() for worker in workers.values()]}


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
