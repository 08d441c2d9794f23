// A WebSocket client for tests without a browser: Node.js has none before version 22.

import { randomBytes } from "node:crypto";
import { request } from "node:http";

// The client's frame of a text of at most 125 bytes.
function frame(text) {
  const [bytes, mask] = [Buffer.from(text), randomBytes(4)];
  return Buffer.concat([Buffer.from([0x81, 0x80 | bytes.length]), mask, bytes.map((byte, at) => byte ^ mask[at % 4])]);
}

// Takes the texts of whole frames off the front of what has come, and returns the rest.
function texts(bytes, take) {
  for (;;) {
    const short = bytes[1] & 0x7f;
    const head = { 126: 4, 127: 10 }[short] ?? 2;
    if (bytes.length < head) return bytes;
    const length = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
    if (bytes.length < head + length) return bytes;
    if ((bytes[0] & 0x0f) === 1) take(bytes.subarray(head, head + length).toString());
    bytes = bytes.subarray(head + length);
  }
}

/** A page of a server: `say(frame)` waits for its answer, `close()` ends the connection. */
export async function page(server) {
  const url = new URL("/ws", server.url);
  const headers = { connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13", "sec-websocket-key": randomBytes(16).toString("base64"), ...server.headers };
  const socket = await new Promise((resolve, reject) => {
    const asking = request(url, { headers });
    asking.once("upgrade", (_response, connection) => resolve(connection));
    asking.once("response", ({ statusCode }) => reject(new Error(`no WebSocket: ${statusCode}`)));
    asking.once("error", reject);
    asking.end();
  });
  const waiting = new Map();
  let rest = Buffer.alloc(0);
  socket.on("data", (data) => {
    rest = texts(Buffer.concat([rest, data]), (text) => {
      const { ref, type, content } = JSON.parse(text);
      if (type === "ack") waiting.get(ref)?.resolve();
      else waiting.get(ref)?.reject(new Error(content));
    });
  });
  socket.on("error", () => {});
  let refs = 0;
  const say = (message) =>
    new Promise((resolve, reject) => {
      refs += 1;
      waiting.set(refs, { resolve, reject });
      socket.write(frame(JSON.stringify({ ...message, ref: refs })));
    });
  return { say, close: () => socket.destroy() };
}
