"""Lists are bare arrays; the address of the next page is in the `Link` header (RFC 8288)."""

from typing import Any

from rest_framework.pagination import CursorPagination
from rest_framework.response import Response


class Pages(CursorPagination):
    """Newest first, by cursor: no counting, no offsets, stable while rows are added."""

    ordering: tuple[str, ...] = ("-created_at", "-id")
    page_size = 200
    page_size_query_param = "limit"
    max_page_size = 1000

    def get_paginated_response(self, data: Any) -> Response:
        """Answer with the array itself, and `Link: <...>; rel="next"` where there is more."""
        links = {"next": self.get_next_link(), "prev": self.get_previous_link()}
        header = ", ".join(f'<{url}>; rel="{rel}"' for rel, url in links.items() if url)
        return Response(data, headers={"Link": header} if header else None)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Tell the schema that there is no envelope."""
        return schema
