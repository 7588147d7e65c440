// A link to a charge point by the name that people gave it.

import { fleet } from "../fleet_store.js";
import { toChargePoint } from "../router.js";
import { html, useEffect, useState } from "../ui.js";

/** Shows the name, or the identity until the fleet is read and where there is no name. */
export function ChargePointLink({ id }) {
  const [, again] = useState(false);
  useEffect(() => (fleet.isLoaded ? undefined : fleet.subscribe(() => again(fleet.isLoaded))), []);
  const name = fleet.chargePoints.get(id)?.name;
  return html`<a href=${toChargePoint(id)} title=${name ? id : undefined}>${name || id}</a>`;
}
