// Colours of the tokens as a canvas understands them: it does not know light-dark().

const probe = document.createElement("span");
probe.hidden = true;

/** Returns the colour that a custom property comes to in the present scheme. */
export function resolved(name) {
  if (!probe.isConnected) document.body.append(probe);
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}
