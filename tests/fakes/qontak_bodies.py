"""Webhook bodies as Qontak and Mekari send them."""

import json

INTEGRATION = "b3a2ee0b-e9b3-4d62-a4a5-0a3a4c5d7a11"
NUMBERS = {INTEGRATION: "brand"}
CUSTOMER = "6282271511514"
ROOM = "5113b80b-fa7d-4a50-9590-1dfd55325580"
OWN_ID = "a667db6f-6b67-4320-bfc2-b098f4ed2e2a"
WAMID = "wamid.HBgNNjI4MjI3MTUxMTUxNBUCABIYFDNBRjFBN0UxRUIyOTE2Q0IxRDg2AA=="
CREATED = "2024-05-15T16:36:04.000Z"
CREATED_MS = 1715790964000


def room(**more):
    """The room in which the customer writes."""
    return {
        "id": ROOM,
        "name": "adrian",
        "description": "",
        "status": "unassigned",
        "type": "Models::CustomerServiceRoom",
        "tags": [],
        "channel": "wa_cloud",
        "channel_account": "Sandbox Qontak 6",
        "account_uniq_id": CUSTOMER,
        "channel_integration_id": INTEGRATION,
        "session_at": CREATED,
        "session": "open",
        "resolved_at": None,
        "extra": {},
        **more,
    }


def interaction(**more):
    """A `message_interaction`: what was written, without Meta's words."""
    return {
        "id": OWN_ID,
        "type": "text",
        "room_id": ROOM,
        "is_campaign": False,
        "sender_id": "9c682ecf-0000-4000-8000-000000000000",
        "sender_type": "Models::Contact",
        "sender": {"name": "Burhanudin", "avatar": None},
        "participant_type": "customer",
        "text": "helo",
        "status": "created",
        "external_id": WAMID,
        "local_id": None,
        "created_at": CREATED,
        "reply": None,
        "buttons": [],
        "room": room(),
        "channel_integration": {"id": INTEGRATION, "target_channel": "wa_cloud"},
        "data_event": "receive_message_from_customer",
        "webhook_event": "message_interaction",
        **more,
    }


def raw(message, **contact):
    """Meta's value around one message."""
    known = {"wa_id": CUSTOMER, "profile": {"name": "Adrian Rahmandanu"}, **contact}
    return {
        "contacts": [known],
        "messages": [message],
        "metadata": {
            "phone_number_id": "540083594083559",
            "display_phone_number": "6289618625602",
        },
        "messaging_product": "whatsapp",
    }


def written(kind="text", payload=None, **more):
    """Meta's message of the customer."""
    return {
        "id": WAMID,
        "from": CUSTOMER,
        "timestamp": "1715790964",
        "type": kind,
        kind: {"body": "helo"} if payload is None else payload,
        **more,
    }


def room_updated(message=None, *, last=(), **more):
    """Mekari's `qontak.chat.room.updated`, with Meta's words in its last message."""
    held = {
        name: value
        for name, value in interaction().items()
        if name not in {"room", "channel_integration", "data_event", "webhook_event", "sender"}
    }
    held["raw_message"] = raw(written() if message is None else message)
    return room(
        last_message={**held, **dict(last)},
        updated_at="2024-05-15T16:36:05.702Z",
        data_event="add_agent",
        **more,
    )


def broadcast(**more):
    """What became of a broadcast to one person."""
    return {
        "contact_full_name": "Budi",
        "contact_phone_number": CUSTOMER,
        "status": "delivered",
        "whatsapp_message_id": "wamid.B",
        "whatsapp_error_message": None,
        "messages_broadcast_id": "c0ffee00-0000-4000-8000-000000000001",
        "messages_response": {},
        "data_event": "broadcast_log_status",
        **more,
    }


def body(document):
    """As bytes."""
    return json.dumps(document).encode()
