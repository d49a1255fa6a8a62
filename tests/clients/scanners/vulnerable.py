"""The server that mcp-idprobe ships to show what it looks for: answers cross between sessions that use the same ids."""

import time

from mcp_idprobe.fixtures import FixtureServer

with FixtureServer(vulnerable=True) as server:
    print(server.url, flush=True)
    while True:
        time.sleep(60)
