// The reference client of the Agent Client Protocol drives a worker through `rs-worker acp`: sends each argument as a prompt,
// allows what is asked, and loads the session again with a second client.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { Readable, Writable } from "node:stream";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.ACP_CLIENTS}/`);
const acp = await import(pathToFileURL(require.resolve("@agentclientprotocol/sdk")));
const { agent, client } = acp.methods;

/** Runs the bridge while `work` lasts. `state.text` gathers what the agent says, `state.all` also what its user says. */
async function withBridge(work) {
    const state = { text: "", all: "" };
    const bridge = spawn(process.env.RS_WORKER, ["acp"], { stdio: ["pipe", "pipe", "inherit"] });
    const stream = acp.ndJsonStream(Writable.toWeb(bridge.stdin), Readable.toWeb(bridge.stdout));
    const editor = acp
        .client({ name: "test" })
        .onNotification(client.session.update, ({ params: { update } }) => {
            if (update.content?.type !== "text") return;
            if (update.sessionUpdate === "agent_message_chunk") state.text += update.content.text;
            if (update.sessionUpdate.endsWith("message_chunk")) state.all += update.content.text;
        })
        .onRequest(client.session.requestPermission, ({ params: { toolCall, options } }) => {
            console.log(`asked for ${toolCall.rawInput.command}`);
            const { optionId } = options.find(({ kind }) => kind === "allow_once");
            return { outcome: { outcome: "selected", optionId } };
        });
    await editor.connectWith(stream, async (context) => {
        await context.request(agent.initialize, { protocolVersion: acp.PROTOCOL_VERSION, clientCapabilities: {} });
        await work(context, state);
    });
    bridge.stdin.end();
}

const place = { cwd: process.cwd(), mcpServers: [] };
await withBridge(async (context, state) => {
    const { sessionId } = await context.request(agent.session.new, place);
    for (const text of process.argv.slice(2)) {
        state.text = "";
        const { stopReason } = await context.request(agent.session.prompt, { sessionId, prompt: [{ type: "text", text }] });
        console.log(state.text);
        console.log(stopReason);
    }
    await withBridge(async (second, loaded) => {
        await second.request(agent.session.load, { sessionId, ...place });
        console.log(`loaded: ${loaded.all}`);
    });
});
process.exit(0);
