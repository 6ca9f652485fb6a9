"""Web pages, and the HTTP applications that a process serves. Starlette and uvicorn are known here and in
`transport/http_*` only; whoever starts a server imports this package once its gRPC port is up.
"""
