"""The OpenAPI description of this API, made from its own code."""

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.plumbing import build_bearer_security_scheme_object
from drf_spectacular.views import SpectacularJSONAPIView

from api.views import View


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # its metaclass-like hook
    """Tells the description how callers authenticate."""

    target_class = "identity.tokens.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        """Return `Authorization: Token ...` in OpenAPI's words."""
        return build_bearer_security_scheme_object(header_name="Authorization", token_prefix="Token")  # noqa: S106


class Schema(View, SpectacularJSONAPIView):
    """OpenAPI 3.1 as JSON, for those who are signed in."""
