"""Where webhooks may go: addresses in every form they come in, and the URLs that name them."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.control.url_policy import checked_url, host_of, is_public
from schemas.errors import ApiError

PUBLIC = "8.8.8.8 1.1.1.1 93.184.216.34 172.32.0.1 100.128.0.1 2606:4700::1111 2a00:1450:4001::1 ::ffff:8.8.8.8"
PUBLIC += " 64:ff9b::8.8.8.8 2002:808:808::1"
PRIVATE = (
    "0.0.0.0 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254 169.254.169.254 172.16.0.1 172.31.255.255 "
    "192.0.0.1 192.0.2.1 192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255 "
    ":: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:0:127.0.0.1 fe80::1 fe80::1%eth0 fec0::1 fc00::1 "
    "fd00:ec2::254 ff02::1 2001::1 2001:db8::1 2002:7f00:1::1 2002:a9fe:a9fe::1 64:ff9b::10.0.0.1 64:ff9b::127.0.0.1 "
    "64:ff9b:1::1 100::1 3fff::1 5f00::1"
)


@pytest.mark.parametrize("address", PUBLIC.split())
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", [*PRIVATE.split(), "", "localhost", "127.1", "0x7f000001", "2130706433"])
def test_everything_else_is_not(address: str) -> None:
    assert not is_public(address)


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_an_ipv6_form_is_as_public_as_the_address_in_it(address: IPv4Address) -> None:
    number = int(address)
    mapped, nat64 = IPv6Address(0xFFFF << 32 | number), IPv6Address((0x64FF9B << 96) | number)
    six_to_four = IPv6Address(0x2002 << 112 | number << 80 | 1)
    assert {is_public(str(form)) for form in (mapped, nat64, six_to_four)} == {is_public(str(address))}


@given(st.ip_addresses())
def test_what_python_calls_private_is_never_public(address: IPv4Address | IPv6Address) -> None:
    assert not (is_public(str(address)) and (address.is_loopback or address.is_link_local or address.is_multicast))
    if isinstance(address, IPv4Address) and address.is_private:
        assert not is_public(str(address))


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://example.com/hook?x=1", ("example.com", 443)),
        ("http://example.com", ("example.com", 80)),
        ("https://[2606:4700::1111]:8443/", ("2606:4700::1111", 8443)),
        ("https://bücher.example/", ("bücher.example", 443)),
    ],
)
def test_urls_that_can_be_sent_to(url: str, host: tuple[str, int]) -> None:
    assert host_of(checked_url(url)) == host


@pytest.mark.parametrize(
    "url",
    [
        *(None, 5, "", "example.com", "ftp://example.com/", "file:///etc/passwd", "https://", "https:///x", "//x.y/"),
        *("https://user:pass@example.com/", "https://user@example.com/", "http://a b/", "http://x\r\nHost: y/"),
        *(
            "http://example.com:0/",
            "http://example.com:99999/",
            "http://example.com:x/",
            "http://[::1/",
            "http://a\\b/",
        ),
        "https://example.com/" + "x" * 2048,
    ],
)
def test_urls_that_cannot(url: object) -> None:
    with pytest.raises(ApiError) as refused:
        checked_url(url)
    assert (refused.value.status, refused.value.param) == (422, "url")
