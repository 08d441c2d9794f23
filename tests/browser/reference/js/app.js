// A page that uses the server as the reference's page does: it knows the frames of the reference, shows the content of
// each output frame as one block, and adds the user's own messages itself.

const byId = (id) => document.getElementById(id);
let socket = null;
let current = null;

function block(type, content) {
  const shown = document.createElement("article");
  shown.dataset.type = type;
  shown.textContent = typeof content === "string" ? content : JSON.stringify(content);
  byId("messages").append(shown);
}

function receive(frame) {
  switch (frame.type) {
    case "connected":
      byId("title").textContent = `${frame.worker_name} (${frame.ai_cli_type})`;
      break;
    case "history":
      frame.messages.forEach(({ type, content }) => block(type, content));
      break;
    case "output":
      block(frame.content.type, frame.content.content);
      break;
    case "error":
      block("error", frame.content);
      break;
    case "pong":
      break;
    default:
      console.info("unknown frame", frame.type);
  }
}

function select(worker) {
  socket?.close();
  current = worker;
  byId("messages").replaceChildren();
  byId("none").style.display = "none";
  byId("chat").style.display = "block";
  socket = new WebSocket(`${location.origin.replace("http", "ws")}/ws/${worker.id}`);
  socket.onmessage = ({ data }) => receive(JSON.parse(data));
}

async function list() {
  const { workers } = await (await fetch("/api/workers")).json();
  byId("workers").replaceChildren(
    ...workers.map((worker) => {
      const row = document.createElement("li");
      const button = document.createElement("button");
      button.textContent = `${worker.name}: ${worker.status}`;
      button.onclick = () => select(worker);
      row.append(button);
      return row;
    }),
  );
}

byId("create").onsubmit = async (event) => {
  event.preventDefault();
  const body = { name: byId("name").value, project_path: byId("project").value, ai_cli_type: "claude" };
  const answer = await fetch("/api/workers", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  if (!answer.ok) alert((await answer.json()).detail);
  await list();
};

byId("send").onsubmit = (event) => {
  event.preventDefault();
  const content = byId("text").value;
  block("user", content);
  socket.send(JSON.stringify({ type: "message", content }));
  byId("text").value = "";
};

byId("delete").onclick = async () => {
  await fetch(`/api/workers/${current.id}`, { method: "DELETE" });
  byId("chat").style.display = "none";
  await list();
};

list();
