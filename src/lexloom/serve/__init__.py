"""Models as a service over HTTP: `start` opens folders and listens, `app` makes the ASGI application.

`gate` and all that stands before it (limits, keys, bodies, schemas) don't import torch.
"""
