// A charge point on npm's ocpp-rpc in strict mode: every frame, in and out, is checked against the OCPP schemas.
//
// Environment: CSMS_URL (without the identity), IDENTITY, PASSWORD (optional, HTTP basic), PROTOCOL (a subprotocol).
// Standard input, a JSON line each: {"call": ACTION, "payload": {…}}. Its end closes the connection.
// Standard output, a JSON line each, by "event":
//   open · disconnect {code, reason} · answer {action, payload} · error {action, code, message}
//   command {action, payload, answer}: the central system asked, we answered
//   fault {what, detail}: a frame that is none, that no one asked for, or that its schema forbids
// Exits 0 only when there was no fault and the connection could be made.
"use strict";

const readline = require("node:readline");
const { RPCClient, createRPCError } = require("ocpp-rpc");

const { CSMS_URL, IDENTITY, PASSWORD, PROTOCOL = "ocpp1.6" } = process.env;
let faults = 0;

function say(event, facts = {}) {
  process.stdout.write(JSON.stringify({ event, ...facts }) + "\n");
}

function fault(what, detail) {
  faults += 1;
  say("fault", { what, detail });
}

const accepted = () => ({ status: "Accepted" });

/** What this charge point answers to each command; any other gets NotImplemented. */
const ANSWERS = {
  CancelReservation: accepted,
  ChangeAvailability: accepted,
  ChangeConfiguration: accepted,
  ClearCache: accepted,
  ClearChargingProfile: accepted,
  DataTransfer: accepted,
  GetConfiguration: ({ key = [] }) => ({
    configurationKey: [{ key: "HeartbeatInterval", readonly: false, value: "120" }],
    unknownKey: key.filter((name) => name !== "HeartbeatInterval"),
  }),
  GetDiagnostics: () => ({}),
  GetVariables: ({ getVariableData }) => ({
    getVariableResult: getVariableData.map(({ component, variable }) => ({
      attributeStatus: "UnknownVariable",
      component,
      variable,
    })),
  }),
  GetLocalListVersion: () => ({ listVersion: 0 }),
  RemoteStartTransaction: accepted,
  RemoteStopTransaction: accepted,
  ReserveNow: accepted,
  Reset: accepted,
  SendLocalList: accepted,
  SetChargingProfile: accepted,
  TriggerMessage: accepted,
  UnlockConnector: () => ({ status: "Unlocked" }),
  UpdateFirmware: () => ({}),
};

function answer({ method, params }) {
  const respond = Object.hasOwn(ANSWERS, method) ? ANSWERS[method] : undefined;
  const payload = respond ? respond(params) : null;
  say("command", { action: method, payload: params, answer: payload });
  if (!respond) throw createRPCError("NotImplemented");
  return payload;
}

async function call(client, action, payload) {
  try {
    say("answer", { action, payload: await client.call(action, payload) });
  } catch (error) {
    say("error", { action, code: error.rpcErrorCode ?? error.name, message: error.message });
  }
}

async function main() {
  const client = new RPCClient({
    endpoint: CSMS_URL,
    identity: IDENTITY,
    password: PASSWORD ?? null,
    protocols: [PROTOCOL],
    strictMode: true,
    backoff: { initialDelay: 100, maxDelay: 1000, factor: 2, randomisationFactor: 0.25 },
  });
  client.on("open", () => say("open"));
  client.on("disconnect", ({ code, reason }) => say("disconnect", { code, reason }));
  client.on("badMessage", ({ buffer, error }) => fault("bad message", `${error.message}: ${buffer}`));
  client.on("strictValidationFailure", ({ method, result, params, outbound, error }) =>
    fault("schema", { method, outbound, payload: result ?? params, message: error.message, details: error.details }),
  );
  client.handle(answer);
  await client.connect();
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { call: action, payload } = JSON.parse(line);
    await call(client, action, payload);
  }
  await client.close({ code: 1000, awaitPending: true });
}

main()
  .catch((error) => fault("connection", `${error.code ?? ""} ${error.message}`.trim()))
  .finally(() => {
    process.exitCode = faults ? 1 : 0;
  });
