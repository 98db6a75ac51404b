"""What all views of the API have in common."""

from rest_framework.views import APIView


class View(APIView):
    """A view whose answers nobody keeps: they are for one person, and some carry a token or a secret (ASVS 14.3.2)."""

    @property
    def default_response_headers(self) -> dict[str, str]:
        """DRF's own, and `Cache-Control: no-store`; errors have them too."""
        return {**super().default_response_headers, "Cache-Control": "no-store"}
