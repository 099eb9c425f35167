"""`{% load counterfoil %}`. A nonce is taken from `request.csp_nonce`, as django-csp and Django itself name it."""

from typing import Any

from django import template
from django.utils.safestring import SafeString, mark_safe

from counterfoil_shop import tag, track
from counterfoil_shop.django import relay

register = template.Library()


def _nonce(context: template.Context) -> str:
    return str(getattr(context.get("request"), "csp_nonce", "") or context.get("csp_nonce") or "")


@register.simple_tag(takes_context=True)
def counterfoil_tag(context: template.Context) -> SafeString:
    """Into the <head> of every page."""
    return mark_safe(tag(relay(), nonce=_nonce(context)))  # noqa: S308 - escaped by `tag`


@register.simple_tag(takes_context=True)
def counterfoil_track(
    context: template.Context, event_name: str, custom_data: dict[str, Any], **options: Any
) -> SafeString:
    """One event of this page, signed where it can be."""
    return mark_safe(track(relay(), event_name, custom_data, nonce=_nonce(context), **options))  # noqa: S308
