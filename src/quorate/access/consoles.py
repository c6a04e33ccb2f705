"""Who may open a console: its ticket, and the privileges that go with it (pvecm 6.7, 7.1).

Asked three times: by who passes bytes on, by the program behind the port, and by ``POST /access/vncticket``.
The program asks for the privileges again as long as it runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from quorate.access.directory import AuthenticationError, Directory
from quorate.access.tickets import TicketError
from quorate.access.users import normalize_path
from quorate.formats import FormatError, check_format


def verify_console(
    directory: Directory,
    auth_id: str,
    ticket: str,
    path: str,
    privileges: Sequence[str],
    port: int | None = None,
) -> None:
    """Raises `AuthenticationError` unless the ticket was made for this user or API token, path and port a
    moment ago, and the user is enabled and holds every one of the privileges.

    Raises `KeyFileError` when nothing can be verified.
    """
    normal = normalize_path(path)
    try:
        check_format("pve-user-or-token", auth_id)
        directory.check_account(auth_id)
        if normal is None:
            raise AuthenticationError("malformed path")
        directory.keys.verify_console_ticket(ticket, auth_id, normal, port)
    except FormatError as err:
        raise AuthenticationError("malformed name of a user or API token") from err
    except TicketError as err:
        raise AuthenticationError(str(err)) from err
    require_privileges(directory, auth_id, normal, privileges)


def require_rights(directory: Directory, auth_id: str, path: str, privileges: Sequence[str]) -> None:
    """Raises `AuthenticationError` unless the user or token may act and holds all of them on the path,
    whatever became of the ticket; `KeyFileError` or OSError where no cluster file system is there to say.
    """
    directory.keys.require()
    try:
        directory.check_account(auth_id)
        require_privileges(directory, auth_id, path, privileges)
    except AuthenticationError:
        # Without the file system there is no user either: that it was there before is not enough.
        directory.keys.require()
        raise


def require_privileges(directory: Directory, auth_id: str, path: str, privileges: Sequence[str]) -> None:
    """Raises `AuthenticationError` unless the user or token holds all of them on the path. None is refused:
    who asks for nothing in particular has made a mistake."""
    normal = normalize_path(path)
    if (
        normal is None
        or not privileges
        or not all(directory.may(auth_id, normal, name) for name in privileges)
    ):
        raise AuthenticationError("no permission")
