// A model for the real CLI: a server that speaks the Messages API and answers with the steps it was given, one a request.

import { once } from "node:events";
import { createServer } from "node:http";

export class Model {
  static async start() {
    const model = new Model();
    model.steps = [];
    model.held = [];
    model.requests = [];
    model.server = createServer((request, response) => model.serve(request, response).catch(() => response.destroy()));
    model.server.listen(0, "127.0.0.1");
    await once(model.server, "listening");
    model.url = `http://127.0.0.1:${model.server.address().port}`;
    return model;
  }

  /**
   * What the next requests are answered with: `{thinking, text, tool, input, holdAfter}`, or a function that returns that
   * for the body of the request. With `holdAfter` the stream pauses after so many words, until `release`.
   */
  answer(...steps) {
    this.steps.push(...steps);
  }

  /** The pictures in the requests so far: of each its type and its bytes in base64, once. */
  pictures() {
    const blocks = this.requests.flatMap(({ messages }) => messages.flatMap(({ content }) => (Array.isArray(content) ? content : [])));
    const inside = blocks.flatMap((block) => (block.type === "tool_result" && Array.isArray(block.content) ? block.content : [block]));
    const found = inside.filter(({ type }) => type === "image").map(({ source }) => `${source.media_type},${source.data}`);
    return [...new Set(found)];
  }

  release() {
    for (const go of this.held.splice(0)) go();
  }

  async close() {
    this.release();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  async serve(request, response) {
    let body = "";
    for await (const piece of request) body += piece;
    if (!request.url.startsWith("/v1/messages") || request.url.includes("count_tokens")) {
      response.writeHead(200, { "content-type": "application/json" }).end('{"input_tokens":1}');
      return;
    }
    const asked = JSON.parse(body);
    this.requests.push(asked);
    // A request without tools is for something beside the conversation, such as a title.
    const next = (asked.tools?.length && this.steps.shift()) || { text: "Done." };
    const step = typeof next === "function" ? next(body) : next;
    const usage = { input_tokens: 1200, output_tokens: 240, cache_read_input_tokens: 9600, cache_creation_input_tokens: 0 };
    const message = { id: `msg_${Math.random().toString(36).slice(2)}`, type: "message", role: "assistant", model: asked.model, stop_reason: null, stop_sequence: null, usage };
    const reason = step.tool ? "tool_use" : "end_turn";
    const blocks = [
      step.thinking && { start: { type: "thinking", thinking: "", signature: "" }, deltas: [{ type: "thinking_delta", thinking: step.thinking }, { type: "signature_delta", signature: "c2ln" }], whole: { type: "thinking", thinking: step.thinking, signature: "c2ln" } },
      step.text && { start: { type: "text", text: "" }, deltas: step.text.split(/(?<=\s)/).map((text) => ({ type: "text_delta", text })), whole: { type: "text", text: step.text } },
      step.tool && { start: { type: "tool_use", id: `toolu_${message.id}`, name: step.tool, input: {} }, deltas: [{ type: "input_json_delta", partial_json: JSON.stringify(step.input) }], whole: { type: "tool_use", id: `toolu_${message.id}`, name: step.tool, input: step.input } },
    ].filter(Boolean);
    if (!asked.stream) {
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ ...message, stop_reason: reason, content: blocks.map(({ whole }) => whole) }));
      return;
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    const tell = (event) => response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
    tell({ type: "message_start", message: { ...message, content: [] } });
    for (const [index, { start, deltas }] of blocks.entries()) {
      tell({ type: "content_block_start", index, content_block: start });
      for (const [count, delta] of deltas.entries()) {
        if (count === step.holdAfter) await new Promise((resolve) => this.held.push(resolve));
        tell({ type: "content_block_delta", index, delta });
      }
      tell({ type: "content_block_stop", index });
    }
    tell({ type: "message_delta", delta: { stop_reason: reason, stop_sequence: null }, usage: { output_tokens: usage.output_tokens } });
    tell({ type: "message_stop" });
    response.end();
  }
}
