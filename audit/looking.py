"""Pages of Django's admin that are for looking: no adding, changing or deleting.

It lives here because every app with an admin may import this one.
"""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
    _Paginator = Paginator[Any]
else:
    _Admin, _Paginator = admin.ModelAdmin, Paginator  # not generic when they run

_COUNTED = 10_000
_ASKED_BY_FILTERS = {"", "exact", "isnull", "gte", "lt"}


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
    show_facets = ShowFacets.NEVER  # they count every row, once per choice
    actions = None

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Only what the page's own filters ask.

        Django allows every column: with `?password__startswith=` one that is not shown could be read
        letter by letter.
        """
        filters = (item if isinstance(item, str) else _parameter(item) for item in self.get_list_filter(request))
        name, _, kind = lookup.partition(LOOKUP_SEP)
        return name in set(filters) and kind in _ASKED_BY_FILTERS

    def has_add_permission(self, request: HttpRequest) -> bool:
        """No."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No."""
        return False


def _parameter(list_filter: Any) -> str:
    """What a filter of our own is called in the address."""
    return str(list_filter.parameter_name)
