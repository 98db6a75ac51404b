"""Pages of Django's admin that are for looking: no adding, changing or deleting.

A page that shows one row whole is a read, and leaves an event; a list is none: it shows what is needed to
find a row. It lives here because every app with an admin may import this one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.contrib.admin.utils import unquote
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest, HttpResponse

from audit import actions, trail
from audit.trail import Ref

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
    _Paginator = Paginator[Any]
else:
    _Admin, _Paginator = admin.ModelAdmin, Paginator  # not generic when they run


@dataclass(frozen=True)
class Read:
    """What the log says of a look at one row."""

    action: str
    object: Ref
    subject: Ref | None = None
    facts: dict[str, str] = field(default_factory=dict)


def of_person(user_id: int) -> Read:
    """A look at what is known of a person."""
    person = Ref("user", str(user_id))
    return Read(actions.USER_READ, person, person)


_COUNTED = 10_000
_ASKED_BY_FILTERS = {"", "exact", "isnull", "gte", "lt"}


class CappedPaginator(_Paginator):
    """Counts no further than the first 10,000: an exact count reads the whole table."""

    @property
    def count(self) -> int:
        """How many rows there are to page through, at most 10,000."""
        rows = self.object_list
        return rows[:_COUNTED].count() if isinstance(rows, QuerySet) else len(rows)


class AsksAgain(Protocol):
    """The admin site (`identity.site`), as pages know it that have an act: no act without a fresh second factor."""

    def ask_again(self, request: HttpRequest) -> HttpResponse | None:
        """Return the answer that asks for the second factor, or None where it was shown a moment ago."""


class LookOnly(_Admin):
    """Nothing is changed here: what may change has a function of its own, audited."""

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # they count every row, once per choice
    actions: Sequence[str] | None = None

    def reading(self, row: Any) -> Read:
        """Say, for each kind of row that has a page of its own, what the log says of looking at it."""
        raise NotImplementedError

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """Show one row, once that is recorded."""
        self._record(request, obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Show what was changed here, which is nothing; the page names the row."""
        if row := self.get_object(request, unquote(object_id)):
            self._record(request, row)
        return super().history_view(request, object_id, extra_context)

    def _record(self, request: HttpRequest, row: Any) -> None:
        read = self.reading(row)
        with transaction.atomic():
            trail.record(
                read.action,
                actor=Ref("user", str(request.user.pk)),
                object=read.object,
                subject=read.subject,
                details=f"Looked at the admin's page of {read.object} ({self.opts.label_lower}).",
                facts={"page": self.opts.label_lower, **read.facts},
            )

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
