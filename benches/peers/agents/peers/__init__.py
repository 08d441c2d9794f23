"""The peers, each a class: how it is started, spoken to, and what its answers look like."""

from .cloudcli import CloudCli
from .hapi import Hapi
from .opencode import OpenCodeServe
from .pipe import AcpPipe, ClaudePipe
from .qwen import QwenServe
from .rs_worker import RsWorker

# By agent: the agent alone, which is the floor, then the managers that drive it.
GROUPS = {
    "Claude Code": [ClaudePipe, RsWorker.of("claude"), Hapi, CloudCli],
    "OpenCode": [AcpPipe.of("opencode"), RsWorker.of("opencode"), OpenCodeServe],
    "Qwen Code": [AcpPipe.of("qwen"), RsWorker.of("qwen"), QwenServe],
}
