"""The keys of Flink's TLS: made once, for their owner only, and made again when they are of no use any more."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from fraudlab.stack import flink_keys
from fraudlab.stack.layout import Layout
from fraudlab.stack.secret_store import SecretStore


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A home that has keys."""
    layout = Layout(tmp_path)
    make(layout)
    return layout


def make(layout: Layout, *, renew: bool = False) -> dict[str, bytes]:
    """Makes what is missing; gives all that is there."""
    flink_keys.make(layout, SecretStore(layout.secrets), renew=renew)
    return kept(layout)


def kept(layout: Layout) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in layout.flink_keys.iterdir() if one.name != ".lock"}


def test_sec_01_keys_are_for_their_owner_only_and_kept(layout: Layout) -> None:
    first = kept(layout)
    assert first.keys() == {"rest.p12", "rest.pem", "internal.p12"}
    assert make(layout) == make(layout, renew=True) == first
    assert {oct(one.stat().st_mode & 0o777) for one in layout.flink_keys.iterdir()} == {"0o600"}
    assert oct(layout.flink_keys.stat().st_mode & 0o777) == "0o700"
    certificate = x509.load_pem_x509_certificate(first["rest.pem"])
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc > timedelta(days=3650)


@pytest.mark.parametrize("lost", ["rest.p12", "rest.pem", "internal.p12"])
def test_a_lost_key_is_made_again_and_the_other_stays(layout: Layout, lost: str) -> None:
    first = kept(layout)
    (layout.flink_keys / lost).unlink()
    made = make(layout)
    assert made.keys() == first.keys()
    changed = {name.partition(".")[0] for name in first if first[name] != made[name]}
    assert changed == {lost.partition(".")[0]}


def test_keys_that_another_password_opens_are_made_again(layout: Layout) -> None:
    first = kept(layout)
    layout.secrets.unlink()
    assert not set(make(layout).values()) & set(first.values())


def test_keys_that_end_soon_are_made_again_at_a_start_of_all_of_flink(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout(tmp_path)
    with monkeypatch.context() as short:
        short.setattr(flink_keys, "VALID_FOR", timedelta(days=29))
        first = make(layout)
    assert make(layout, renew=False) == first, "what runs has these"
    assert not set(make(layout, renew=True).values()) & set(first.values())


def test_several_processes_make_the_same_keys(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: make(layout), range(4)))
    assert all(one == made[0] for one in made)
