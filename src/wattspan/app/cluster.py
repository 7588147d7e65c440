"""Makes the central system a node of a cluster: builds the parts for that, and connects them to the parts it has.

It must not know how nodes share a fleet; see `wattspan.cluster`.
"""

from typing import TYPE_CHECKING

from opentelemetry.trace import Tracer

from wattspan.api.events import EventFeed
from wattspan.app.assembly import Accounts
from wattspan.cluster.clock import NodeClock
from wattspan.cluster.node import ClusterNode
from wattspan.csms.commands import Commands
from wattspan.csms.core import Core
from wattspan.csms.enrolment import Enrolments
from wattspan.csms.operations.sender import Operations
from wattspan.csms.routing import Router
from wattspan.csms.security.rotation import Rotation
from wattspan.gateway.gateway import Gateway
from wattspan.settings import Settings
from wattspan.store.store import Store
from wattspan.telemetry.setup import Telemetry

if TYPE_CHECKING:
    from wattspan.app.node_links import NodeLinks


def make_node(core: Core, store: Store, clock: NodeClock) -> ClusterNode:
    """Return this node, which is not started. `clock` is that of the core."""
    return ClusterNode(
        store, core.fleet, core.counters, core.journal, record=core.record, spawn=core.spawn, clock=clock
    )


async def start_node(node: ClusterNode, core: Core, gateway: Gateway, telemetry: Telemetry) -> None:
    """Connect a node to the parts that it needs, and start it."""
    node.ownership.close_connection = gateway.abandon
    node.ownership.finish_connection = gateway.finish
    node.ownership.forget = core.recorder.decommissioned
    telemetry.reader.guard = node.page_guard
    await node.start()


def link_nodes(
    settings: Settings,
    node: ClusterNode,
    gateway: Gateway,
    accounts: Accounts,
    *,
    core: Core,
    store: Store,
    feed: EventFeed,
) -> "NodeLinks":
    """Return what this node and the others have in common through Redis. Raises SettingsError."""
    from wattspan.app.node_links import NodeLinks, Parts  # noqa: PLC0415 - needs the extra `cluster`

    parts = Parts(
        core=core,
        store=store,
        gateway=gateway,
        feed=feed,
        running=accounts.running,
        auth=accounts.auth,
        ownership=node.ownership,
    )
    links = NodeLinks(settings, parts)
    accounts.registry.others = links
    core.admission.open_elsewhere = links.open_transactions
    return links


def route_commands(
    links: "NodeLinks",
    core: Core,
    commands: Commands,
    operations: Operations,
    rotation: Rotation,
    enrolments: Enrolments,
    tracer: Tracer,
) -> Router:
    """Return the router of commands and operations to the nodes that charge points are connected to. It serves."""
    router = Router(
        core=core,
        nodes=links.bus,
        locate=links.locate,
        owner=links.owner,
        tracer=tracer,
        commands=commands,
        operations=operations,
        rotation=rotation,
        enrolments=enrolments,
    )
    commands.remote = operations.remote = router
    router.serve()
    return router
