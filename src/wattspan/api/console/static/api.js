// The client of the API: JSON in and out, problem documents (RFC 9457) as errors, the CSRF token on every write.

export class Problem extends Error {
  constructor(status, body) {
    const text = body?.detail || body?.title || `HTTP ${status}`;
    super(`${text[0].toUpperCase()}${text.slice(1)}${body?.code ? `: ${body.code}` : ""}`);
    this.status = status;
    this.body = body ?? {};
  }
}

let csrf = null;
let loggedOut = () => {};

export const remember = (token) => { csrf = token; };
export const onLogout = (listener) => { loggedOut = listener; };

async function request(method, path, body, headers = {}) {
  const init = { method, headers: { Accept: "application/json", ...headers }, credentials: "same-origin" };
  if (body !== undefined) {
    const isText = typeof body === "string";
    const isFile = body instanceof Blob;
    init.body = isText || isFile ? body : JSON.stringify(body);
    init.headers["Content-Type"] ??= isFile ? "application/octet-stream" : isText ? "text/csv" : "application/json";
  }
  if (method !== "GET" && csrf) init.headers["X-CSRF-Token"] = csrf;
  let answer;
  try {
    answer = await fetch(`/api/v1${path}`, init);
  } catch {
    throw new Problem(0, { detail: "The server can't be reached." });
  }
  const text = await answer.text();
  const value = text && answer.headers.get("content-type")?.includes("json") ? JSON.parse(text) : null;
  if (answer.status === 401 && !path.startsWith("/session")) loggedOut();
  if (!answer.ok) throw new Problem(answer.status, value);
  if (value && typeof value === "object" && answer.headers.get("etag")) {
    Object.defineProperty(value, "etag", { value: answer.headers.get("etag") });
  }
  return value;
}

/** Yields the objects that an answer has one a line, as they arrive; the lines around them are left out. */
export async function* lines(path) {
  let answer;
  try {
    answer = await fetch(`/api/v1${path}`, { headers: { Accept: "application/json" }, credentials: "same-origin" });
  } catch {
    throw new Problem(0, { detail: "The server can't be reached." });
  }
  if (answer.status === 401) loggedOut();
  if (!answer.ok) throw new Problem(answer.status, await answer.json().catch(() => null));
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    const found = (rest + (value ?? "")).split("\n");
    rest = done ? "" : found.pop();
    for (const line of found) if (line.startsWith("{") && (line.endsWith("},") || line.endsWith("}"))) yield JSON.parse(line.endsWith(",") ? line.slice(0, -1) : line);
    if (done) return;
  }
}

const query = (given) => {
  const kept = Object.entries(given ?? {}).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return kept.length ? `?${new URLSearchParams(kept.flatMap(([name, value]) => [value].flat().map((each) => [name, each])))}` : "";
};

export const get = (path, given) => request("GET", path + query(given));
export const post = (path, body = {}, headers) => request("POST", path, body, headers);
/** Sends a file as it is. */
export const upload = (path, file) => request("POST", path, file);
export const put = (path, body, etag) => request("PUT", path, body, etag ? { "If-Match": etag } : {});
export const patch = (path, body, etag) => request("PATCH", path, body, etag ? { "If-Match": etag } : {});
export const remove = (path, etag) => request("DELETE", path, undefined, etag ? { "If-Match": etag } : {});

/** Loads all rows of a list, page by page; `onPage` gets the rows so far. Stops when `isCurrent()` is false. */
export async function all(path, given, onPage, isCurrent = () => true) {
  const rows = [];
  let cursor;
  do {
    const page = await get(path, { ...given, cursor });
    rows.push(...page.items);
    cursor = page.next;
    if (!isCurrent()) return rows;
    onPage?.(rows.slice(), !cursor);
  } while (cursor);
  return rows;
}

/** How long events are handled before a pause for the browser: after a restart, thousands may come at once. */
const BUSY_MS = 10;

/** Listens to server-sent events of these kinds; the browser resumes the stream. Returns a function that ends it. */
export function stream(path, kinds, onEvent, onState) {
  const source = new EventSource(`/api/v1${path}`);
  let later = []; // events that wait for the next turn, in order
  let until = 0; // when this turn ends; 0: there is none
  const handle = ([kind, data]) => onEvent({ kind, ...JSON.parse(data) });
  const turn = () => {
    if (!later.length) { until = 0; return; }
    setTimeout(turn);
    until = performance.now() + BUSY_MS;
    while (later.length && performance.now() < until) handle(later.shift());
  };
  const take = (event) => {
    if (!until) { until = performance.now() + BUSY_MS; setTimeout(turn); }
    if (!later.length && performance.now() < until) handle(event);
    else later.push(event);
  };
  source.onopen = () => onState?.(true);
  source.onerror = () => onState?.(false);
  for (const kind of kinds) source.addEventListener(kind, (message) => take([kind, message.data]));
  return () => { source.close(); later = []; };
}

/** The events that pages react to, by the API's names. */
export const KINDS = ["ChargePointConnected", "ChargePointDisconnected", "ChargePointBooted", "ConnectorStatusChanged", "TransactionStarted",
  "TransactionStopped", "ChargingStateChanged", "ChargingProfileSet", "ChargingProfilesCleared", "ReservationMade", "ReservationCancelled",
  "ChargePointDecommissioned", "FileTransferRequested", "FirmwareStatusChanged", "LogStatusChanged",
  "InstalledCertificatesReported", "SecurityEventReported", "CommandAnswered", "CommandFailed", "JobProgressed", "IdTagEnrolled", "PlaceChanged", "SitesChanged", "Figures", "Seen", "Reset"];
