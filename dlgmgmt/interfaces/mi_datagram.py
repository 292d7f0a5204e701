"""MI in datagrams, over unix sockets and UDP: a request in one, its reply in another."""

from __future__ import annotations

from dlgmgmt.commands.dispatcher import Dispatcher
from dlgmgmt.interfaces.access import Access
from dlgmgmt.interfaces.settings import MiDatagramSettings

DOOR = "mi_datagram"


class MiDatagrams:
    """All doors of ``[mi_datagram]``. Start and stop it on the management loop."""

    def __init__(
        self, settings: MiDatagramSettings, dispatcher: Dispatcher, access: Access | None = None
    ) -> None:
        self.settings = settings
        self._dispatcher = dispatcher
        self._access = access or Access()
