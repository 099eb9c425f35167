"""What Segment's words are in Meta's: names, properties, traits. Data only; `mapping` and `segment` read it.

Sources: Segment's pages on the classic and the Actions destination, and where they are silent what Segment's Pixel
integration and RudderStack do alike. `docs/segment.md` lists every row, and each difference with its reason.
Names are written in snake case; a message may write them in camel case just as well.
"""

from collections.abc import Mapping
from typing import Final

from relay.event.fields import USER_ID_KEYS

# Spec name without case, blanks and underscores → Meta's. The last four are the spec's first version's names.
EVENTS: Final[Mapping[str, str]] = {
    "checkoutstarted": "InitiateCheckout",
    "ordercompleted": "Purchase",
    "productadded": "AddToCart",
    "productlistviewed": "ViewContent",
    "productviewed": "ViewContent",
    "productssearched": "Search",
    "productaddedtowishlist": "AddToWishlist",
    "paymentinfoentered": "AddPaymentInfo",
    "completedorder": "Purchase",
    "addedproduct": "AddToCart",
    "viewedproduct": "ViewContent",
    "viewedproductcategory": "ViewContent",
}
LISTS: Final = frozenset({"productlistviewed", "viewedproductcategory"})

# Meta's events whose properties are one product's own, where there is no list of products.
PRODUCT_EVENTS: Final = frozenset({"AddToCart", "AddToWishlist", "CustomizeProduct", "ViewContent"})

# What an order is worth: the first that is there.
ORDER_VALUES: Final = ("properties.revenue", "properties.total", "properties.value")
ORDER_EVENTS: Final = frozenset({"AddPaymentInfo", "InitiateCheckout", "Purchase"})
OTHER_VALUES: Final = ("properties.revenue", "properties.value")

ITEM_ID: Final = ("product_id", "id", "sku")

# custom_data member → properties that it may come from, whatever the event.
CUSTOM_DATA: Final[Mapping[str, tuple[str, ...]]] = {
    "search_string": ("search_string", "query"),
    "order_id": ("order_id",),
    "status": ("status",),
    "content_type": ("content_type",),
    "num_items": ("num_items",),
}
# The same, of a product's own event.
PRODUCT_DATA: Final[Mapping[str, tuple[str, ...]]] = {
    "content_name": ("content_name", "name"),
    "content_category": ("content_category", "category"),
}

# Customer key → where it may stand in traits, below a customer's address, and in Meta's own user_data object.
TRAITS: Final[Mapping[str, tuple[str, ...]]] = {
    "em": ("email", "em"),
    "ph": ("phone", "ph"),
    "fn": ("first_name", "firstname", "fn"),
    "ln": ("last_name", "lastname", "ln"),
    "ge": ("gender", "ge"),
    "db": ("birthday", "date_of_birth", "db"),
    "ct": ("address.city", "city", "ct"),
    "st": ("address.state", "state", "st"),
    "zp": ("address.postal_code", "address.zip", "postal_code", "zip", "zp"),
    "country": ("address.country", "country"),
}
# Where customer data may stand: a message's own traits are those of an identify call.
TRAIT_SOURCES: Final = ("context.traits", "traits", "properties.user_data", "context.user_data", "properties")

# The page's address; a page call has it among its properties too.
PAGE_URL: Final = ("context.page.url", "properties.url")

USER_DATA: Final = (
    "properties.user_data",
    "context.user_data",
)  # Meta's own object, as Segment's Actions have it

# Of the properties of an event only what can hardly be anything but the customer's.
PROPERTY_TRAITS: Final = ("em", "ph", "fn", "ln", "db")

# Ids that Meta knows a person by; they are never hashed.
USER_IDS: Final[Mapping[str, tuple[str, ...]]] = {
    **{key: (key,) for key in USER_ID_KEYS},
    "lead_id": ("lead_id", "leadID"),
    "subscription_id": ("subscription_id", "subscriptionID"),
    "fb_login_id": ("fb_login_id", "fbLoginID"),
    "madid": ("madid", "mad_id"),
}

# What is said of the visitor's browser; Meta's own object comes last, as with traits.
VISITOR: Final[Mapping[str, tuple[str, ...]]] = {
    "fbp": ("properties.fbp", "context.fbp"),
    "fbc": ("properties.fbc", "context.fbc"),
    "client_ip_address": ("context.ip",),
    "client_user_agent": ("context.user_agent",),
}

# Properties that never become custom_data: about a person (in lower case, without underscores) …
PERSONAL: Final = frozenset(
    {"address", "birthdate", "birthday", "city", "country", "dateofbirth", "dob", "email", "emailaddress"}
    | {"firstname", "fullname", "gender", "lastname", "mobile", "phone", "phonenumber", "postalcode", "ssn"}
    | {"state", "street", "telephone", "username", "zip", "zipcode"}
)
# … or about the event itself, and read elsewhere.
ENVELOPE: Final = frozenset(
    {"actionsource", "dataprocessingoptions", "dataprocessingoptionscountry", "dataprocessingoptionsstate"}
    | {"fbc", "fbp", "userdata"}
)

# Members of `integrations` that mean this relay: Segment's two server destinations and RudderStack's.
SERVER_INTEGRATIONS: Final = (
    "Facebook Conversions API",
    "Facebook Conversions API (Actions)",
    "Facebook Conversions",
    "FACEBOOK_CONVERSIONS",
    "Counterfoil",
)
# The browser's destinations: their options count, and to switch them off says nothing of the server's half.
BROWSER_INTEGRATIONS: Final = ("Facebook Pixel", "Facebook Pixel Server-Side", "FACEBOOK_PIXEL")

# Categories of consent tools that stand for advertising, in lower case; "C0004" is OneTrust's "Targeting".
ADVERTISING: Final = frozenset({"advertising", "c0004", "marketing", "targeting"})
