"""The progress of firmware updates and log uploads."""

import sqlalchemy as sa

from wattspan.store.records import FileTransferStatus
from wattspan.store.schema import tables as t

_STATUS = t.file_transfers.c


def list_transfer_statuses(connection: sa.Connection, cp_id: str) -> list[FileTransferStatus]:
    """Return all statuses that are kept of a charge point, in the order of arrival."""
    columns = [column for column in _STATUS if column.name not in {"id", "cp_id"}]
    query = sa.select(*columns).where(_STATUS.cp_id == cp_id).order_by(_STATUS.id)
    return [FileTransferStatus(**found) for found in connection.execute(query).mappings()]
