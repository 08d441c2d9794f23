// A client with what Node.js has built in, fetch and WebSocket. It makes a worker, talks to it, loses its connection in
// the middle and continues where it was. Arguments: address, project. It prints each event that it sees.

const [address, project] = process.argv.slice(2);
const socketAddress = address.replace(/^http/, "ws");

const response = await fetch(`${address}/api/workers`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ name: "node", project_path: project, ai_cli_type: "claude" }),
});
if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
const worker = await response.json();
let last = 0;

/** Connects after the last event that was seen, sends a text, and closes when the turn has ended. */
function turn(text) {
  const socket = new WebSocket(`${socketAddress}/ws/${worker.id}?since=${last}`);
  return new Promise((resolve, reject) => {
    socket.onerror = () => reject(new Error("the connection failed"));
    socket.onclose = resolve;
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.type === "replay_complete") socket.send(JSON.stringify({ type: "message", content: text, ref: text }));
      if (frame.type === "error") reject(new Error(frame.content));
      if (frame.type !== "output" || frame.seq === undefined) return;
      if (frame.seq <= last) reject(new Error(`${frame.seq} came after ${last}`));
      last = frame.seq;
      const { type, content } = frame.content;
      if (type === "user" || type === "assistant") console.log(`${type} ${content}`);
      if (type === "turn_completed") socket.close();
    };
  });
}

await turn("echo one");
await turn("echo two");
