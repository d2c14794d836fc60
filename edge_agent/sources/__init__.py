"""Where facts come from: tills on serial lines, scooters over MQTT and on a diagnosis port.

A source promises: what it acknowledged is in the buffer, durable; what it could not read is kept
and counted; whatever is unplugged, restarted or full, it goes on by itself. It knows the buffer,
and nothing of the hub.
"""
