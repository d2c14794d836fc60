"""A typed place, a pasted link and a pin lead to a point, offline, and nonsense leads nowhere."""

import csv
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.leads.places import (
    check_pin,
    coordinates,
    distance_km,
    locate,
    resolve,
    shipped,
    with_own,
)

ROWS = list(
    csv.DictReader((files("hub.leads") / "data" / "places.csv").read_text("utf-8").splitlines())
)


def areas(text):
    """What a text may mean."""
    return [place.area for place in resolve(text)]


@pytest.mark.parametrize(
    ("written", "area"),
    [
        ("Surabaya", "Surabaya, Jawa Timur"),
        ("surabaya jatim", "Surabaya, Jawa Timur"),
        ("SBY", "Surabaya, Jawa Timur"),
        ("surabya", "Surabaya, Jawa Timur"),
        ("Wonokromo, Surabaya", "Wonokromo, Surabaya"),
        ("saya di kec. Wonokromo kota Surabaya kak", "Wonokromo, Surabaya"),
        ("Jl. Raya Darmo 12, Wonokromo, Surabaya", "Wonokromo, Surabaya"),
        ("Halo, saya mau beli motor listrik di Malang", "Malang, Jawa Timur"),
        ("kab malang", "Kabupaten Malang, Jawa Timur"),
        ("jaksel", "Jakarta Selatan, DKI Jakarta"),
        ("Tebet", "Tebet, Jakarta Selatan"),
        ("Jakarta", "DKI Jakarta"),
        ("jogja", "Yogyakarta, DI Yogyakarta"),
        ("Tanjungpinang", "Tanjung Pinang, Kepulauan Riau"),
        ("I live in South Jakarta", "Jakarta Selatan, DKI Jakarta"),
        ("Bali", "Bali"),
    ],
)
def test_a_place_as_people_write_it(written, area):
    """Districts with their city, abbreviations, slips of the finger, whole sentences."""
    assert [area] == areas(written)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "halo",
        "E8",
        "berapa harganya?",
        "👍",
        "mau yang warna merah",
        "12345",
        "taman bermain anak",
    ],
)
def test_words_that_are_no_place(written):
    """Talk is no place: a wrong guess would send a customer to a far dealer."""
    assert [] == areas(written)


def test_a_name_that_several_districts_bear_is_asked_about():
    """Without the city several are given; with it one."""
    assert ["Taman, Kabupaten Pemalang", "Taman, Kabupaten Sidoarjo"] == areas("Taman")
    assert ["Cempaka Putih, Jakarta Pusat"] == areas("Cempaka Putih Jakarta Pusat")


def test_every_province_and_city_is_there():
    """38 provinces, 514 kabupaten and kota, each found by its full name, inside the country."""
    assert 38 == sum(row["kind"] == "province" for row in ROWS)
    cities = [row for row in ROWS if row["kind"] == "city"]
    assert 514 == len(cities)
    assert [] == [
        row["name"]
        for row in cities
        if not any(
            place.name == row["name"] for place in resolve(f"{row['name']}, {row['province']}")
        )
    ]
    assert {"ok"} == {check_pin(float(row["lat"]), float(row["lon"])) for row in ROWS}
    assert {"geonames", "hand"} == {row["source"] for row in ROWS}


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("https://www.google.com/maps/@-7.2575,112.7521,15z", (-7.2575, 112.7521)),
        ("https://maps.google.com/?q=-7.25,112.75", (-7.25, 112.75)),
        ("https://maps.google.com/maps?q=loc%3A-7.25%2C112.75&z=3", (-7.25, 112.75)),
        (
            "https://www.google.com/maps/place/Toko/@-7.0,112.0,17z/data=!3d-7.2575!4d112.7521",
            (-7.2575, 112.7521),
        ),
        ("lokasi saya geo:-7.25,112.75?z=1", (-7.25, 112.75)),
        ("-7.2575, 112.7521", (-7.2575, 112.7521)),
        ("https://maps.app.goo.gl/AbC123", None),
        ("harga 12.5,13.5.1", None),
        ("halo", None),
    ],
)
def test_coordinates_inside_a_text(text, point):
    """They are read where they stand; a short link says nothing, and nobody follows it."""
    assert point == coordinates(text)


@pytest.mark.parametrize(
    ("lat", "lon", "state"),
    [
        (-7.2575, 112.7521, "ok"),
        (0.0, 0.0, "zero"),
        (0.5, 101.4, "ok"),
        (112.7521, -7.2575, "swapped"),
        (37.46, -122.21, "abroad"),
        (1.35, 103.82, "ok"),
        (float("nan"), 112.0, "abroad"),
        (float("inf"), 0.0, "abroad"),
    ],
)
def test_a_pin_that_cannot_be(lat, lon, state):
    """Nowhere, mixed up and abroad are told apart. Singapore lies within the box; that is known."""
    assert state == check_pin(lat, lon)


def test_a_pin_gets_a_name():
    """The nearest point of the list names it; the open sea has no name."""
    near = shipped().nearest(-7.3009, 112.7385)
    assert near is not None
    assert "Wonokromo, Surabaya" == near.area
    assert shipped().nearest(-10.9, 98.0) is None


@pytest.mark.parametrize(
    ("written", "area"),
    [
        ("Wonokromo, Surabaya", "Wonokromo, Surabaya"),
        ("Jakarta", "DKI Jakarta"),
        ("Jawa Timur", None),
        ("Taman", None),
        ("xyzzy", None),
        ("37.46,-122.21", None),
    ],
)
def test_a_place_in_a_form_is_clear_or_none(written, area):
    """Where nobody can be asked again, what may be several places is none."""
    found = locate(written)
    assert area == (found[2] if found else None)


def test_coordinates_in_a_form_are_taken_either_way_round():
    """Swapped or not, they are the same point, and it gets a name."""
    assert locate("112.7385, -7.3009") == locate("-7.3009, 112.7385")
    assert (-7.3009, 112.7385, "Wonokromo, Surabaya") == locate("-7.3009, 112.7385")


def test_own_aliases_win():
    """A brand's own word for a place is understood, one for nowhere is passed over."""
    meant = {"kota pahlawan": "Kota Surabaya", "sby": "Kota Medan", "x": "Atlantis"}
    places = with_own((written, name, None, None) for written, name in meant.items())

    assert ["Surabaya, Jawa Timur"] == [place.area for place in places.resolve("kota pahlawan")]
    assert ["Medan, Sumatera Utara"] == [place.area for place in places.resolve("sby")]


def test_a_distance_is_a_great_circle_s():
    """Surabaya to Jakarta is some 663 km."""
    assert 663 == pytest.approx(distance_km(-7.2575, 112.7521, -6.2146, 106.8451), abs=2)


@given(st.text())
def test_any_text_is_places_or_none(text):
    """Whatever is typed, the answer is a short list and nothing raises."""
    assert len(resolve(text)) <= 10
    point = coordinates(text)
    assert point is None or check_pin(*point)


@given(st.floats(), st.floats())
def test_any_two_numbers_are_judged(lat, lon):
    """No pair of numbers is too strange."""
    assert check_pin(lat, lon) in {"ok", "zero", "swapped", "abroad"}
