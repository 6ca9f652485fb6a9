"""How large the parts of a request may be (semantics 2.1 item 12): payloads and memos, in bytes of their messages.

A part is measured only where the request as a whole is larger than it may be.
"""

from __future__ import annotations

from typing import Any, Final

from perdure.errors import BLOB_EXCEEDS_LIMIT, InvalidArgument
from perdure.frontend.services import Call, Services

MEMO_EXCEEDS_LIMIT: Final = "Memo size exceeds limit."


def check_payloads(services: Services, call: Call, payloads: Any) -> None:
    """A message is within `limit.blobSize.error`."""
    limit = services.view(call).limits.blob_size
    if call.may_exceed(limit) and payloads.ByteSize() > limit:
        raise InvalidArgument(BLOB_EXCEEDS_LIMIT)


def check_memo(services: Services, call: Call, memo: Any) -> None:
    """A memo is within `limit.memoSize.error`."""
    limit = services.view(call).limits.memo_size
    if call.may_exceed(limit) and memo.ByteSize() > limit:
        raise InvalidArgument(MEMO_EXCEEDS_LIMIT)


def check_start(services: Services, call: Call, request: Any) -> None:
    """Input and memo of a start are within their limits."""
    limits = services.view(call).limits
    if not call.may_exceed(min(limits.blob_size, limits.memo_size)):
        return
    if request.input.ByteSize() > limits.blob_size:
        raise InvalidArgument(BLOB_EXCEEDS_LIMIT)
    if request.memo.ByteSize() > limits.memo_size:
        raise InvalidArgument(MEMO_EXCEEDS_LIMIT)
