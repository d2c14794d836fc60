"""Webhook bodies as Meta sends them."""

import hashlib
import hmac
import json

NUMBER_ID = "1122334455667"
NUMBERS = {NUMBER_ID: "brand"}
CUSTOMER = "6281234567890"
BSUID = "ID.13491208655302741918"
VECTOR_SECRET = "1222e786b144d0e85b9f365372d93676"
VECTOR_BODY = (
    b'{"object":"whatsapp_business_account","entry":[{"id":"264937493375603","changes":[{"value":'
    b'{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550953877",'
    b'"phone_number_id":"277321005464405"},"contacts":[{"profile":{"name":"PyWa Tests"},'
    b'"wa_id":"972544401243"}],"messages":[{"from":"972544401243","id":"wamid.HBgMOTcyNTQ0NDAxMjQz'
    b'FQIAEhggM0RFQTNCMEEwRTY3QzUwODYzMDc4NjQ4QzM4ODAxM0YA","timestamp":"1730231903","text":'
    b'{"body":"Hey there! I am using PyWa."},"type":"text"}]},"field":"messages"}]}]}'
)
VECTOR_SIGNATURE = "sha256=54edfa1d7259e0eb13c677cc7d73d1b5c86cfa12433d19156e058ab9251bc441"


def envelope(*values, field="messages"):
    """A body of one entry with a change for each value."""
    changes = [{"field": field, "value": value} for value in values]
    document = {
        "object": "whatsapp_business_account",
        "entry": [{"id": "264937493375603", "changes": changes}],
    }
    return json.dumps(document).encode()


def value(messages=(), statuses=(), contacts=None, **more):
    """A change's value from our number."""
    if contacts is None:
        contacts = [
            {
                "profile": {"name": "Budi", "username": "budi.w"},
                "wa_id": CUSTOMER,
                "user_id": BSUID,
            }
        ]
    return {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "628110000000", "phone_number_id": NUMBER_ID},
        "contacts": contacts,
        "messages": list(messages),
        "statuses": list(statuses),
        **more,
    }


def message(kind, payload=None, **more):
    """One message from the customer."""
    held = {} if payload is None else {kind: payload}
    return {
        "from": CUSTOMER,
        "id": "wamid.A",
        "timestamp": "1697043223",
        "type": kind,
        **held,
        **more,
    }


def signed(body, secret):
    """The header that Meta would send with the body."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return f"sha256={digest}"
