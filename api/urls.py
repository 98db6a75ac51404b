"""Every route of the API, in one list."""

from django.urls import path

from api import auditlogs, auth, documents, schema, uploads

urlpatterns = [
    path("auth/login/", auth.Login.as_view()),
    path("documents/", documents.Documents.as_view()),
    path("documents/latest/", documents.Latest.as_view()),
    path("documents/by-type/<str:doc_type>/", documents.ByType.as_view()),
    path("documents/<uuid:id>/", documents.One.as_view()),
    path("documents/<uuid:id>/complete/", uploads.Complete.as_view()),
    path("documents/<uuid:id>/history/", documents.History.as_view()),
    path("documents/<uuid:id>/download/", documents.Download.as_view()),
    path("auditlogs/", auditlogs.AuditLogs.as_view()),
    path("schema/", schema.Schema.as_view(), name="schema"),
]
