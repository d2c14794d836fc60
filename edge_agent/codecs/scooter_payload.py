"""A scooter's MQTT payload, read by a declared mapping of its maker's names to ours.

docs/scooter-mqtt.md describes payloads and mapping.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

PAYLOAD_BYTES_MAX: Final = 16 * 1024
"""Above this a payload is refused unread: a scooter's report has some 200 bytes."""

State = Literal["stock", "sold", "unknown"]
Scalar = str | int | float | bool | None
_INT_MAX: Final = 2**53 - 1
_SALE_ID: Final = re.compile(r"([1-9]\d{0,14})\.([1-9]\d{0,14})", re.ASCII)
_DEFAULT: Final[Mapping[str, str]] = {
    "version": "v",
    "boot": "boot",
    "counter": "c",
    "state": "state",
    "battery_pct": "bat",
    "odometer_m": "odo_m",
    "firmware": "fw",
    "lat": "lat",
    "lon": "lon",
    "request": "id",
    "fault_code": "fault.code",
    "fault_detail": "fault.detail",
}
_EXTRA_DEFAULT: Final = ("up_ms",)


class MalformedScooterPayload(ValueError):
    """The payload is no message of a scooter. `why` is one word and holds nothing of it."""

    def __init__(self, why: str) -> None:
        """Say why."""
        super().__init__(why)
        self.why = why


class MalformedMapping(ValueError):
    """The mapping in the settings is not one. The message names the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScooterMessage:
    """What a payload says. `sale` is set when it answers a request to report."""

    boot: str | None
    counter: int | None
    state: State
    battery_pct: int | None
    odometer_m: int | None
    firmware: str | None
    position: tuple[float, float] | None
    """Latitude and longitude as sent: whether they may be told is not decided here."""

    sale: tuple[int, int] | None
    fault_code: str | None
    fault_detail: str | None
    serial: str | None
    """The serial the payload itself names, if it does."""

    extra: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class _Field:
    path: tuple[str, ...]
    scale: float
    values: Mapping[str, str] | None
    plain: str | None
    """The name itself where there is nothing else to do: the common, fast case."""

    def of(self, payload: Mapping[str, Any]) -> object:
        if self.plain is not None:
            return payload.get(self.plain)
        value: object = payload
        for step in self.path:
            if not isinstance(value, dict):
                return None
            value = value.get(step)
        if self.values is not None:
            return self.values.get(_word(value))
        if self.scale != 1 and isinstance(value, int | float) and not isinstance(value, bool):
            return value * self.scale
        return value


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else ""


class PayloadMapping:
    """Where in a maker's payload our fields stand."""

    def __init__(self, table: Mapping[str, Any] | None = None) -> None:
        """`table` is ``[mqtt.mapping]`` of the settings; empty means our own names.

        Raises MalformedMapping.
        """
        table = table or {}
        known = {*_DEFAULT, "serial", "extra"}
        unknown = sorted(set(table) - known)
        if unknown:
            raise MalformedMapping(
                f"mqtt.mapping: unknown key {unknown[0]!r}; known keys: {', '.join(sorted(known))}"
            )
        names = {"serial": "serial", **_DEFAULT}
        self._fields = {name: _field(name, table.get(name, at)) for name, at in names.items()}
        # Names that are simply looked up, which are most, and those that need a second look.
        self._plain = [(n, f.plain) for n, f in self._fields.items() if f.plain is not None]
        self._nested = [(n, f) for n, f in self._fields.items() if f.plain is None]
        self._has_version = "version" in table or not table
        extra = table.get("extra", _EXTRA_DEFAULT)
        if not isinstance(extra, list | tuple) or not all(isinstance(x, str) for x in extra):
            raise MalformedMapping("mqtt.mapping.extra: expected a list of names")
        self._extra = {name: _field("extra", name) for name in extra[:32]}

    def read(self, payload: bytes) -> ScooterMessage:
        """What `payload` says. Raises MalformedScooterPayload, and nothing else.

        A field that is out of its range is left out; the message is not lost for it.
        """
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise MalformedScooterPayload("oversize")
        try:
            found = orjson.loads(payload)
        except (orjson.JSONDecodeError, RecursionError):
            raise MalformedScooterPayload("json") from None
        if not isinstance(found, dict):
            raise MalformedScooterPayload("json")
        if self._has_version and self._fields["version"].of(found) != 1:
            raise MalformedScooterPayload("version")
        return self._message(found)

    def _message(self, found: Mapping[str, Any]) -> ScooterMessage:
        values: dict[str, object] = {name: found.get(key) for name, key in self._plain}
        for name, field in self._nested:
            values[name] = field.of(found) if field.path[0] in found or field.values else None
        state = values["state"]
        known: State = "unknown"
        if state == "stock":
            known = "stock"
        elif state == "sold":
            known = "sold"
        return ScooterMessage(
            boot=_text(_word(values["boot"]) or None, 64),
            counter=_whole(values["counter"], _INT_MAX),
            state=known,
            battery_pct=_whole(values["battery_pct"], 100),
            odometer_m=_whole(values["odometer_m"], _INT_MAX),
            firmware=_text(values["firmware"], 64),
            position=_position(values["lat"], values["lon"]),
            sale=_sale(values["request"]),
            fault_code=_text(_word(values["fault_code"]) or None, 64),
            fault_detail=_text(values["fault_detail"], 200),
            serial=_text(values["serial"], 64),
            extra={
                name: value
                for name, value in ((n, _scalar(f.of(found))) for n, f in self._extra.items())
                if value is not None
            },
        )


def _field(name: str, spec: object) -> _Field:
    if isinstance(spec, str) and spec:
        return _Field(tuple(spec.split(".")), 1, None, None if "." in spec else spec)
    if not isinstance(spec, Mapping):
        raise MalformedMapping(f"mqtt.mapping.{name}: expected a name or a table")
    unknown = sorted(set(spec) - {"path", "scale", "values"})
    path, scale, values = spec.get("path"), spec.get("scale", 1), spec.get("values")
    if unknown or not isinstance(path, str) or not path:
        raise MalformedMapping(f"mqtt.mapping.{name}: expected path, and perhaps scale or values")
    if isinstance(scale, bool) or not isinstance(scale, int | float):
        raise MalformedMapping(f"mqtt.mapping.{name}.scale: expected a number")
    if values is not None and not isinstance(values, Mapping):
        raise MalformedMapping(f"mqtt.mapping.{name}.values: expected a table")
    words = None if values is None else {str(key): str(word) for key, word in values.items()}
    return _Field(tuple(path.split(".")), scale, words, None)


def _whole(value: object, high: int) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= high:
        return None
    return round(value)


def _text(value: object, limit: int) -> str | None:
    if not isinstance(value, str):
        return None
    text = value[:limit]
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return text.strip() or None


def _position(lat: object, lon: object) -> tuple[float, float] | None:
    for value, limit in ((lat, 90), (lon, 180)):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if not -limit <= value <= limit:
            return None
    assert isinstance(lat, int | float)
    assert isinstance(lon, int | float)
    return float(lat), float(lon)


def _sale(value: object) -> tuple[int, int] | None:
    match = _SALE_ID.fullmatch(value) if isinstance(value, str) else None
    return None if match is None else (int(match[1]), int(match[2]))


def _scalar(value: object) -> Scalar:
    if isinstance(value, str):
        return _text(value, 64)
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) <= _INT_MAX):
        return value
    return None
