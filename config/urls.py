"""Every door of the web process. The API's own list is `api/urls.py`."""

from django.contrib import admin
from django.urls import include, path

from identity import doors

urlpatterns = [
    path("", include("api.health")),
    path("api/", include("api.urls")),
    path("admin/", admin.site.urls),
    path("internal/flower-auth/", doors.flower_auth),
    path("flower/", doors.flower),
    path("", include("console.urls")),
]

# JSON under /api/, Django's own pages elsewhere.
handler400 = "api.errors.bad_request"
handler403 = "api.errors.forbidden"
handler404 = "api.errors.not_found"
handler500 = "api.errors.server_error"
