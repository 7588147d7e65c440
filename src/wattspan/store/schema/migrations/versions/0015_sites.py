"""Sites, the site and labels of charge points, saved views."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "sites",
        sa.Column("site_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("time_zone", sa.Text, nullable=False),
        sa.Column("latitude", sa.Double),
        sa.Column("longitude", sa.Double),
        sa.Column("grid_limit_a", sa.Double),
        sa.Column("grid_limit_kw", sa.Double),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("created_ts", sa.Double, nullable=False),
    )
    op.create_table(
        "charge_point_places",
        sa.Column("cp_id", sa.Text, primary_key=True),
        sa.Column("site_id", sa.Text),
        sa.Column("labels", sa.Text, nullable=False),
    )
    op.create_index("ix_charge_point_places_site_id", "charge_point_places", ["site_id"])
    op.create_table(
        "saved_views",
        sa.Column("view_id", sa.Text, primary_key=True),
        sa.Column("user_key", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("page", sa.Text, nullable=False),
        sa.Column("query", sa.Text, nullable=False),
        sa.Column("is_shared", sa.Boolean, nullable=False),
        sa.Column("created_ts", sa.Double, nullable=False),
    )
