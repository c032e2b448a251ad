"""What a request to the Graph API can come to, told apart by what the caller may do next.

The send API has no idempotency key: whoever does not know whether a message left must not simply send it again.

    GraphError
    ├── GraphFault       Meta refused it, and said why: nothing was sent
    ├── NotSentError     nothing left this process, or nobody was there to take it
    ├── HeldBackError    nothing left this process: it was asked at the last moment, and it may not leave any more
    └── MaybeSentError   it left, and no answer that can be read came back

No error holds a token or a part of a message.
"""

from handlers.whatsapp.faults import Fault


class GraphError(Exception):
    """A request to the Graph API that did not succeed."""


class NotSentError(GraphError):
    """Nothing was sent: no connection, no name, no trust."""


class HeldBackError(GraphError):
    """Nothing was sent: when all was ready, the caller did not want it sent any more."""


class MaybeSentError(GraphError):
    """It may have been sent: the connection broke, the time was up, or the answer cannot be read."""


class GraphFault(GraphError):  # noqa: N818  "fault" is the word for what Meta answers
    """Meta refused the request. `details` holds no personal data."""

    def __init__(
        self, fault: Fault, *, code: int, details: str = "", retry_after_s: int = 0
    ) -> None:
        super().__init__(f"{fault.name} ({code})")
        self.fault = fault
        self.code = code
        self.details = details
        self.retry_after_s = retry_after_s
