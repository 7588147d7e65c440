"""PostgreSQL: readings in monthly partitions, and indexes for lists of the charge points of all nodes.

No reading is rewritten or read: the former table becomes the default partition of a new one. `store.partitions` goes on
from there while the server runs.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

ATTEMPTS = 30
"""Attempts to lock the tables, each for a second or two, so that writes don't wait for longer than that."""

_LOCK = f"""
DO $$ BEGIN
    FOR attempt IN 1..{ATTEMPTS} LOOP
        BEGIN
            LOCK TABLE meter_readings IN ACCESS EXCLUSIVE MODE;
            LOCK TABLE transactions, charge_points IN SHARE MODE;
            RETURN;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            IF attempt = {ATTEMPTS} THEN RAISE; END IF;
            PERFORM pg_sleep(0.5);
        END;
    END LOOP;
END $$
"""
_GRANT = """
DO $$ DECLARE given record; BEGIN
    FOR given IN
        SELECT privilege_type, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS who
        FROM pg_class, aclexplode(relacl) WHERE pg_class.oid = 'meter_readings_former'::regclass
    LOOP
        EXECUTE 'GRANT ' || given.privilege_type || ' ON meter_readings TO ' || given.who;
    END LOOP;
END $$
"""
_STEPS = (
    "SET LOCAL lock_timeout = '1s'",
    _LOCK,
    "ALTER TABLE meter_readings RENAME TO meter_readings_former",
    "ALTER TABLE meter_readings_former RENAME CONSTRAINT pk_meter_readings TO pk_meter_readings_former",
    "CREATE TABLE meter_readings (LIKE meter_readings_former INCLUDING DEFAULTS) PARTITION BY RANGE (received_ts)",
    "ALTER SEQUENCE meter_readings_id_seq OWNED BY meter_readings.id",
    "ALTER TABLE meter_readings_former ALTER COLUMN id DROP DEFAULT",
    _GRANT,
    "ALTER TABLE meter_readings ATTACH PARTITION meter_readings_former DEFAULT",
    "SET LOCAL lock_timeout = '60s'",
)


def upgrade() -> None:
    """Make the table a partition. SQLite has none."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for step in _STEPS:
        op.execute(sa.text(step))
    is_open = sa.text("stopped_received_ts IS NULL")
    op.create_index("ix_transactions_open_cp_id", "transactions", ["cp_id"], postgresql_where=is_open)
    op.create_index("ix_charge_points_bytes", "charge_points", [sa.text('cp_id COLLATE "C"')])
