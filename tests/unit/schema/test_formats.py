"""Which values a format takes, and what it says otherwise (pvecm section 0)."""

import pytest

from quorate.formats import FormatError, check_format, parse_token_id, parse_user_id, split_list


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pve-node", "n1"),
        ("pve-node", "a-b-3"),
        ("ip", "10.0.0.1"),
        ("ip", "::ffff:1.2.3.4"),
        ("address", "node.example.com"),
        ("CIDR", "10.0.0.5/8"),
        ("CIDR", "fd00::1/128"),
        ("pve-vmid", "100"),
        ("pve-configid", "Ab_1"),
        ("ip-opt", ""),
        ("ip-list", ""),
        ("pve-userid", "a@b@pam"),
    ],
)
def test_accepted(name: str, value: str) -> None:
    check_format(name, value)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("pve-node", "a_b", "value does not look like a valid node name"),
        ("pve-node", "10.0.0.1", "value does not look like a valid node name"),
        ("pve-node", "n1\n", "value does not look like a valid node name"),
        ("ip", "10.0.0.01", "value does not look like a valid IP address"),
        ("ip", "fe80::1%eth0", "value does not look like a valid IP address"),
        ("ip", "[::1]", "value does not look like a valid IP address"),
        ("address", "-x", "value does not look like a valid address: -x"),
        ("CIDR", "10.0.0.0", "value does not look like a valid CIDR network"),
        ("CIDR", "10.0.0.0/7", "value does not look like a valid CIDR network"),
        ("CIDR", "10.0.0.0/33", "value does not look like a valid CIDR network"),
        ("pve-vmid", "099", "value does not look like a valid VM ID"),
        ("pve-configid", "1a", "invalid configuration ID '1a'"),
        ("pve-userid", "a@", "user name 'a@' is too short"),
        ("pve-userid", "a" * 61 + "@pam", f"user name '{'a' * 61}@pam' is too long (65 > 64)"),
        ("pve-userid", "a b@pam", "value 'a b@pam' does not look like a valid user name"),
        ("pve-tokenid", "root@pam", "value 'root@pam' does not look like a valid token ID"),
    ],
)
def test_refused(name: str, value: str, text: str) -> None:
    with pytest.raises(FormatError) as refused:
        check_format(name, value)
    assert str(refused.value) == text


def test_parts_of_names() -> None:
    assert parse_user_id("a@b@pam") == ("a@b@pam", "a@b", "pam")
    assert parse_token_id("root@pam!mon") == ("root@pam", "mon")


def test_lists() -> None:
    assert split_list(" a, b;c\n") == ["a", "b", "c"]
    assert split_list("a b\0c") == ["a b", "c"]
    assert split_list("") == []
