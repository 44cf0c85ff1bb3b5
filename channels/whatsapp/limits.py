"""Meta's documented limits on what is sent, in characters unless said otherwise.

Source: Meta's OpenAPI description business-messaging-api v23.0 (facebook/openapi, MIT); the body of
a text and the 10 rows in total are from developers.facebook.com/docs/whatsapp/cloud-api/messages.
"""

from __future__ import annotations

TEXT_BODY = 4096
INTERACTIVE_BODY = 1024
HEADER = 60
FOOTER = 60
BUTTONS = 3
BUTTON_TITLE = 20
BUTTON_ID = 256
LIST_BUTTON = 20
SECTIONS = 10
SECTION_TITLE = 24
ROWS = 10  # in all sections together
ROW_ID = 200
ROW_TITLE = 24
ROW_DESCRIPTION = 72
CAPTION = 1024
CALLBACK_DATA = 512
TEMPLATE_NAME = 512
TEMPLATE_PARAMETER = 1024  # the body's own limit: a longer value can fit in no template
TEMPLATE_BUTTONS = 10
