from ranvier.engine.client import ClientHandle

class Replay:
    """One file's requests. `handle` runs them: a client that was made for it, and shows in no list meanwhile."""

    handle: ClientHandle
    length: int
    position: int
    whole: int
    in_transaction: bool
    errors: int
    error: bytes | None
    def load(self, data: memoryview | bytes, begin: int = 0) -> None: ...
    def release(self) -> None: ...
    def close(self) -> None: ...
    def step(self, nanoseconds: int) -> bool: ...
    def begins_request(self, at: int) -> bool: ...
