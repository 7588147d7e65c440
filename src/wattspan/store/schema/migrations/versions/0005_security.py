"""Security profiles, secrets that overlap, certificates we issued, and whom an operator turned away."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    for column in (
        sa.Column("certificate_expires_ts", sa.Double),
        sa.Column("other_secret", sa.Text),
        sa.Column("other_until_ts", sa.Double),
        sa.Column("security_profile", sa.Integer),
        sa.Column("unknown_id_tags", sa.Text, server_default="", nullable=False),
    ):
        op.add_column("charge_points", column)
    op.create_table(
        "rejected_charge_points",
        sa.Column("cp_id", sa.Text, nullable=False),
        sa.Column("rejected_ts", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("cp_id", name=op.f("pk_rejected_charge_points")),
    )
    op.create_table(
        "issued_certificates",
        sa.Column("serial", sa.Text, nullable=False),
        sa.Column("cp_id", sa.Text, nullable=False),
        sa.Column("issued_ts", sa.Double, nullable=False),
        sa.Column("expires_ts", sa.Double, nullable=False),
        sa.Column("installed_ts", sa.Double),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_issued_certificates")),
    )
    op.create_index("ix_issued_certificates_cp_id", "issued_certificates", ["cp_id"])
