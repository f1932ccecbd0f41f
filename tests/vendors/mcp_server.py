"""A server of the official MCP SDK, as its own documentation would write one. Usage: mcp_server.py PORT"""

import sys

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("bookings")


@server.tool()
def find_booking(number: int) -> dict[str, str]:
    """Finds a booking by its number."""
    return {"number": str(number), "seats": "two"}


@server.tool()
def greet(name: str) -> str:
    """Greets somebody."""
    return f"Hello {name}"


@server.tool()
def cancel_booking(number: int) -> str:
    """Cancels a booking, which never works."""
    raise ValueError(f"booking {number} is not yours")


@server.tool()
async def run_key(ctx: Context) -> str:
    """Tells by which key the client names this run."""
    meta = ctx.request_context.meta
    return str((meta or {}).get("trunkline/idempotencyKey"))


if __name__ == "__main__":
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
