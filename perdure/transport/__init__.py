"""The wire: our own thin HTTP/2 and gRPC, both roles (DESIGN section 2).

`http2.py` and what it imports are sans-IO: bytes in, events out; calls in, bytes out. `server.py` and `client.py`
put them on asyncio. Nothing here knows a Temporal message or a protobuf class: requests and answers are bytes.
"""
