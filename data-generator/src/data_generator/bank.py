"""The bank: its users and the merchants they pay, all made from a seed."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from random import Random

from faker import Faker

from data_generator.countries import CODES, COUNTRIES, Country
from data_generator.spending import HABITS, MERCHANT_TYPES
from data_generator.stream import Payment, StreamOptions, payments

NAMES_PER_COUNTRY = 150
PHONES_PER_COUNTRY = 60
FEWEST_PHONE_DIGITS = 7  # some locales also give emergency numbers
MERCHANTS_PER_TYPE = 12
EMAIL_DOMAINS = ("example.com", "example.org", "example.net")

MERCHANT_LENGTH = 120
NAME_LENGTH = 100
PHONE_LENGTH = 40


@dataclass(frozen=True, slots=True)
class User:
    """A customer. Names are in the script of the home country; the address is ASCII, unique, in a reserved domain."""

    user_id: int
    first_name: str
    last_name: str
    email: str
    phone_number: str
    home_country: str


def home_country(user_id: int) -> str:
    """The home country of a user id, for every seed: two runs with different seeds agree where a user lives."""
    return CODES[int(Random(f"home/{user_id}").random() * len(CODES))]


def habit(user_id: int) -> tuple[int, int]:
    """A user's spending habit: the index in `spending.HABITS` and the spending level in percent (50 to 220)."""
    rng = Random(f"habit/{user_id}")
    return int(rng.random() * len(HABITS)), 50 + int(rng.random() ** 2 * 171)


class Bank:
    """Users and merchants of a seed, and the stream of payments between them.

    The same seed gives the same bank on every machine that has the same faker release: names come from its lists.
    A user's data depend on the seed and the user id alone, so a bank of more users begins with the same ones.

    Args:
        seed: any integer.
        users: how many users, at least 1.
        first_user: the id of the first user; the others follow without gaps.
    """

    def __init__(self, seed: int = 1, users: int = 10_000, first_user: int = 1) -> None:
        if users < 1 or first_user < 1:
            raise ValueError(f"a bank needs at least one user, with ids from 1; got {users} users from {first_user}")
        self.seed = seed
        self.user_ids = range(first_user, first_user + users)

    @cached_property
    def users(self) -> tuple[User, ...]:
        """Every user, by rising user id."""
        pools = {code: _NamePool(country, self.seed) for code, country in COUNTRIES.items()}
        return tuple(pools[home_country(user_id)].user(user_id) for user_id in self.user_ids)

    @cached_property
    def merchants(self) -> dict[str, tuple[tuple[str, ...], ...]]:
        """Merchant names by country code, then by index in `spending.MERCHANT_TYPES`."""
        return {code: self.merchants_in(code) for code in COUNTRIES}

    def merchants_in(self, code: str) -> tuple[tuple[str, ...], ...]:
        """Merchant names in a country, by index in `spending.MERCHANT_TYPES`. Made again each time."""
        country = COUNTRIES[code]
        fake = _faker(country.locale, f"{self.seed}/merchants/{country.code}")
        return tuple(tuple(fake.company()[:MERCHANT_LENGTH] for _ in range(MERCHANTS_PER_TYPE)) for _ in MERCHANT_TYPES)

    def payments(self, options: StreamOptions | None = None) -> Iterator[Payment]:
        """The endless stream of payments, in order of arrival: a function of the seed, the user ids and the options."""
        return payments(
            self.seed,
            self.user_ids,
            homes=[home_country(user_id) for user_id in self.user_ids],
            habits=[habit(user_id) for user_id in self.user_ids],
            merchants=self.merchants,
            options=options or StreamOptions(),
        )


class _NamePool:
    """Names and telephone numbers of one country, made once: faker is too slow to be asked for each user."""

    def __init__(self, country: Country, seed: int) -> None:
        self._code = country.code
        self._seed = seed
        fake = _faker(country.locale, f"{seed}/names/{country.code}")
        draws = range(NAMES_PER_COUNTRY)
        # Women's and men's last names differ in some languages, so they stay with first names of their own.
        self._names = (
            ([fake.first_name_female() for _ in draws], [fake.last_name_female() for _ in draws]),
            ([fake.first_name_male() for _ in draws], [fake.last_name_male() for _ in draws]),
        )
        telephones = _faker(country.phone_locale or country.locale, f"{seed}/phones/{country.code}")
        numbers = (telephones.phone_number() for _ in range(20 * PHONES_PER_COUNTRY))
        full = (number for number in numbers if sum(letter.isdigit() for letter in number) >= FEWEST_PHONE_DIGITS)
        self._phones = list(islice(full, PHONES_PER_COUNTRY))

    def user(self, user_id: int) -> User:
        rng = Random(f"{self._seed}/user/{user_id}")
        first_names, last_names = self._names[int(rng.random() * 2)]
        first_name = first_names[int(rng.random() * len(first_names))]
        last_name = last_names[int(rng.random() * len(last_names))]
        return User(
            user_id=user_id,
            first_name=first_name[:NAME_LENGTH],
            last_name=last_name[:NAME_LENGTH],
            email=_email(first_name, last_name, user_id),
            phone_number=_with_new_digits(self._phones[int(rng.random() * len(self._phones))], rng)[:PHONE_LENGTH],
            home_country=self._code,
        )


def _faker(locale: str, seed: str) -> Faker:
    fake = Faker(locale)
    fake.seed_instance(seed)
    return fake


def _email(first_name: str, last_name: str, user_id: int) -> str:
    """An ASCII address; a name in another script has no Latin letters to lend, and becomes `customer`."""
    parts = (_latin_letters(name) for name in (first_name, last_name))
    local = ".".join(part for part in parts if part) or "customer"
    return f"{local[:40].strip('.')}.{user_id}@{EMAIL_DOMAINS[user_id % len(EMAIL_DOMAINS)]}"


def _latin_letters(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name.lower().replace("ł", "l").replace("ß", "ss").replace("ø", "o"))
    return "".join(letter for letter in decomposed if letter.isascii() and letter.isalpha())


def _with_new_digits(phone: str, rng: Random) -> str:
    """The number with other last four digits: the format stays the country's."""
    letters = list(phone)
    places = [index for index, letter in enumerate(letters) if letter.isdigit()][-4:]
    for index in places:
        letters[index] = str(int(rng.random() * 10))
    return "".join(letters)
