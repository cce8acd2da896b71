"""What the clients share: loopback candidates, WHIP/WHEP signalling, and one JSON object a line for the test."""

import asyncio
import json
import os
import sys
import urllib.error
import urllib.request
from urllib.parse import urljoin

import aioice.ice

# aioice leaves loopback out, and a test machine may have nothing else. A server elsewhere wants another address.
ADDRESS = os.environ.get("CLIENT_ADDRESS", "127.0.0.1")
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [ADDRESS]


def tell(event, **fields):
    """Prints an event for the test."""
    print(json.dumps({"event": event, **fields}), flush=True)


async def exchange(pc, url):
    """Offers what `pc` has to a WHIP or WHEP endpoint, and returns the URL of the session."""
    await pc.setLocalDescription(await pc.createOffer())
    body = pc.localDescription.sdp.encode()
    status, headers, answer = await asyncio.to_thread(request, "POST", url, body, "application/sdp")
    if status != 201:
        tell("refused", status=status, body=answer)
        sys.exit(1)
    from aiortc import RTCSessionDescription

    await pc.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
    return urljoin(url, headers["Location"])


async def end(pc, session):
    """Ends the session on both sides."""
    status, _, _ = await asyncio.to_thread(request, "DELETE", session)
    await pc.close()
    return status


async def until_stdin_ends():
    """Returns when the test closes our standard input, or has gone itself."""
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def request(method, url, body=None, content_type=None):
    """Sends a request and returns status, headers and text; an error status is an answer like any other."""
    headers = {"Content-Type": content_type} if content_type else {}
    outgoing = urllib.request.Request(url, data=body, headers=headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(outgoing, timeout=15) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers, refused.read().decode()
