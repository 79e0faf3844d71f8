"""E-mail addresses and phone numbers as people and programs write them in, the one form in which they are compared out.

Pure. Addresses are normalised at the edge, and in the queries of readers; nothing later changes them.
"""

import re
import unicodedata

import idna
import phonenumbers

_LONGEST_DOMAIN = 253
_BARE = re.compile(r"^[1-9][0-9 ().\-/]{6,30}$", re.ASCII)
"""Digits, perhaps grouped, that may be an international number whose plus sign was lost; 0 begins a national one."""
_LONGEST_NATIONAL = 11
"""Digits, in the plans whose national numbers do not begin with 0: Brazil's and China's mobiles."""
_MEXICAN_MOBILE = re.compile(r"^\+521(\d{10})$", re.ASCII)


def email(value: str) -> str | None:
    """Trimmed, in lower case, one spelling of each letter, nothing invisible, the domain in ASCII; ``None``: none."""
    text = value.strip().lower() if value.isascii() else _plain(value)
    return text if "@" in text[1:-1] and " " not in text else None


def _plain(value: str) -> str:
    text = "".join(c for c in unicodedata.normalize("NFC", value) if unicodedata.category(c) != "Cf")
    text = unicodedata.normalize("NFC", text.strip().lower())
    if any(c.isspace() for c in text):
        return ""
    local, at, domain = text.rpartition("@")
    if domain.isascii() or len(domain) > _LONGEST_DOMAIN:
        return text
    try:
        return f"{local}{at}{idna.encode(domain, uts46=True).decode()}"
    except idna.IDNAError:  # a character that host names may not have, such as an emoji: kept as it is written
        return text


def phone(value: str) -> str | None:
    """E.164; ``None`` unless it is an international number, and for one with an extension, which E.164 cannot hold."""
    text = value.strip()
    text = "+" + text[2:] if text.startswith("00") else text
    bare = _BARE.match(text) is not None
    try:
        number = phonenumbers.parse(f"+{text}" if bare else text)
    except phonenumbers.NumberParseException:
        return None
    if number.extension:
        return None
    normal = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    mexican = _MEXICAN_MOBILE.match(normal)
    if mexican is not None:  # WhatsApp and some carriers still write the 1 that went in 2019
        normal = f"+52{mexican[1]}"
        number = phonenumbers.parse(normal)
    return (
        normal if phonenumbers.is_possible_number(number) and (not bare or _is_international(number, normal)) else None
    )


def _is_international(number: phonenumbers.PhoneNumber, normal: str) -> bool:
    """Whether digits without a plus are an international number: it is valid, or longer than national numbers."""
    return phonenumbers.is_valid_number(number) or len(normal) > _LONGEST_NATIONAL + 1
