// node ajv_check.cjs SCHEMA: reads one JSON value per line from stdin and writes, for each, whether the JSON Schema
// in the file SCHEMA holds of it: one line `true` or `false`.  Strict mode, so a doubtful schema ends it at once.
"use strict";
const fs = require("node:fs");
const readline = require("node:readline");
const Ajv = require("ajv/dist/2020");

const validate = new Ajv({ strict: true }).compile(JSON.parse(fs.readFileSync(process.argv[2], "utf8")));
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  process.stdout.write(`${validate(JSON.parse(line))}\n`);
});
