"""The Python client of the Agent Client Protocol drives a worker through `rs-worker acp`."""

import asyncio
import os
import sys

import acp
import acp.schema


class Client(acp.Client):
    """Gathers what the agent says."""

    def __init__(self):
        self.text = ""

    def on_connect(self, conn):
        """Nothing is sent by the agent's side of the connection."""

    async def session_update(self, session_id, update, **_):
        if update.session_update == "agent_message_chunk":
            self.text += update.content.text

    async def request_permission(self, options, session_id, tool_call, **_):
        outcome = acp.schema.AllowedOutcome(outcome="selected", option_id=options[0].option_id)
        return acp.RequestPermissionResponse(outcome=outcome)


async def main():
    client = Client()
    async with acp.spawn_agent_process(client, os.environ["RS_WORKER"], "acp", env=dict(os.environ)) as (agent, _):
        await agent.initialize(protocol_version=acp.PROTOCOL_VERSION)
        session = await agent.new_session(cwd=os.getcwd(), mcp_servers=[])
        for text in sys.argv[1:]:
            client.text = ""
            answer = await agent.prompt(session_id=session.session_id, prompt=[acp.text_block(text)])
            print(client.text)
            print(answer.stop_reason)


asyncio.run(main())
