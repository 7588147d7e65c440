// Reads a JSON list of LogQL queries from standard input, and writes those that do not parse.
import { readFileSync } from "node:fs";
import { parser } from "@grafana/lezer-logql";

const broken = (query) => {
  let errors = 0;
  parser.parse(query).iterate({ enter: (node) => { errors += node.type.isError ? 1 : 0; } });
  return errors > 0;
};
process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).filter(broken)));
