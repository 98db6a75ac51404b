"""Pages of Django's admin that are for looking: no adding, changing or deleting.

It lives here because every app with an admin may import this one.
"""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
    _Paginator = Paginator[Any]
else:
    _Admin, _Paginator = admin.ModelAdmin, Paginator  # not generic when they run

_COUNTED = 10_000


class CappedPaginator(_Paginator):
    """Counts no further than the first 10,000: an exact count reads the whole table."""

    @property
    def count(self) -> int:
        """How many rows there are to page through, at most 10,000."""
        rows = self.object_list
        return rows[:_COUNTED].count() if isinstance(rows, QuerySet) else len(rows)


class LookOnly(_Admin):
    """Nothing is changed here: what may change has a function of its own, audited."""

    paginator = CappedPaginator
    show_full_result_count = False
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        """No."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No."""
        return False
