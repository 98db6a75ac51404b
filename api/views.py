"""What all views of the API have in common."""

from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.views import APIView


class View(APIView):
    """A view whose answers nobody keeps: they are for one person, and some carry a token or a secret (ASVS 14.3.2)."""

    @property
    def default_response_headers(self) -> dict[str, str]:
        """DRF's own, and `Cache-Control: no-store`; errors have them too."""
        return {**super().default_response_headers, "Cache-Control": "no-store"}

    def check_permissions(self, request: Request) -> None:
        """Raise what the permissions raise; a refusal counts as a call.

        DRF counts only calls that it lets in. Each refusal leaves an event: uncounted, somebody who is signed in
        could fill the log as fast as they can ask.
        """
        try:
            super().check_permissions(request)
        except PermissionDenied:
            self.check_throttles(request)
            raise
