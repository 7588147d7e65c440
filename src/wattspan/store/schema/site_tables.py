"""The tables of sites, labels and saved views."""

import sqlalchemy as sa

from wattspan.store.schema.base import Seconds, metadata

sites = sa.Table(
    "sites",
    metadata,
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
    sa.Column("created_ts", Seconds, nullable=False),
)

# The site and the labels of a charge point. A row without both is not kept.
charge_point_places = sa.Table(
    "charge_point_places",
    metadata,
    sa.Column("cp_id", sa.Text, primary_key=True),
    sa.Column("site_id", sa.Text),
    sa.Column("labels", sa.Text, nullable=False),
    sa.Index("ix_charge_point_places_site_id", "site_id"),
)

# Filters, sort order and columns of a list, under a name. `page` is the list's, `query` is JSON of the client.
saved_views = sa.Table(
    "saved_views",
    metadata,
    sa.Column("view_id", sa.Text, primary_key=True),
    sa.Column("user_key", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("page", sa.Text, nullable=False),
    sa.Column("query", sa.Text, nullable=False),
    sa.Column("is_shared", sa.Boolean, nullable=False),
    sa.Column("created_ts", Seconds, nullable=False),
)
