#!/usr/bin/env node
// Reads and writes improto's messages in the ascii and json codecs, for `improto vectors check`: it answers each
// request, one JSON object a line, with one line.  Node.js 18 or later, standard library only.
//
// usage: improto vectors check --decoder "node vectors_decoder.mjs" --encoder "node vectors_decoder.mjs"
//
// Written from the clauses and `ascii.abnf` alone; the comments name them.  A message is kept as its command and its
// values in order: a text is a string, a list an array, a map a Map (a plain object has keys of its own).

// ---- The commands ----

const COMMANDS = {
  REGISTER: { from: "client", fields: { username: "name", status: "status" } },
  ONLINE_USERS: { from: "server", fields: { users: "roster" } },
  STATUS: { from: "client", fields: { status: "status" } },
  GOODBYE: { from: "client", fields: {} },
  INVITE: { from: "client", fields: { users: "names" } },
  INVITATION: { from: "server", fields: { conversation: "id", source: "name" } },
  LIST_CONVERSATIONS: { from: "client", fields: {} },
  CONVERSATIONS: { from: "server", fields: { conversations: "lists" } },
  JOIN: { from: "client", fields: { conversation: "id" } },
  SEND_MESSAGE: { from: "client", fields: { conversation: "id", text: "text" } },
  MESSAGE: { from: "server", fields: { conversation: "id", sender: "name", text: "text" } },
  LEAVE: { from: "client", fields: { conversation: "id" } },
  ERROR: { from: "server", fields: { message: "explanation" } },
};

class Refused extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

function refuseUnless(condition, code) {
  if (!condition) throw new Refused(code);
}

// The fields of a command, if `from` has such a command (CODEC-4, CONN-9, CONN-10).
function fieldsOf(command, from) {
  refuseUnless(/^[A-Z_]{1,20}$/.test(command), "malformed");
  const known = Object.hasOwn(COMMANDS, command) && COMMANDS[command].from === from;
  refuseUnless(known, "unknown-command");
  return Object.entries(COMMANDS[command].fields);
}

// ---- Types and bounds ----

const isText = (value) => typeof value === "string";
const isList = (value) => Array.isArray(value) && value.every(isText);
const isMapOf = (isItem) => (value) => value instanceof Map && [...value.values()].every(isItem);

const TYPES = { names: isList, roster: isMapOf(isText), lists: isMapOf(isList) }; // any other kind is a text

const codePoints = (text) => [...text].length;

function isName(text) {
  const length = codePoints(text);
  return (
    length >= 1 && length <= 64 && // LIMIT-5
    !text.startsWith(" ") && !text.endsWith(" ") && // LIMIT-6
    !/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/.test(text) // LIMIT-7, LIMIT-8
  );
}

const BOUNDS = {
  name: isName,
  status: (text) => codePoints(text) <= 256, // LIMIT-10
  text: (text) => Buffer.byteLength(text) <= 8192, // LIMIT-11
  id: (text) => /^[!-~]{1,64}$/.test(text), // LIMIT-13
  names: (names) => names.length >= 1 && names.length <= 64 && names.every(isName), // LIMIT-14, LIMIT-15
};

// How many bytes a payload may have.
function sizeLimit(from, registered) {
  if (from === "server") return 16 * 1024 * 1024; // LIMIT-20
  return registered ? 64 * 1024 : 4 * 1024; // LIMIT-2, LIMIT-3
}

// A message of a command that `from` has, if its values are of the right number, types and bounds.
function makeMessage(command, values, from) {
  const kinds = fieldsOf(command, from).map(([, kind]) => kind);
  refuseUnless(values.length === kinds.length, "invalid"); // CODEC-5
  refuseUnless(values.every((value, n) => (TYPES[kinds[n]] ?? isText)(value)), "invalid");
  if (from === "client") { // LIMIT-26
    refuseUnless(values.every((value, n) => BOUNDS[kinds[n]](value)), "invalid");
  }
  return { command, values };
}

// ---- ascii ----

const HEX = "[0-9A-Fa-f]";
const BMP = `[0-9ABCEFabcef]${HEX}{3}|[Dd][0-7]${HEX}{2}`;
const PAIR = `[Dd][89ABab]${HEX}{2}\\\\u[Dd][C-Fc-f]${HEX}{2}`; // ASCII-9
const ESCAPE = new RegExp(`\\\\(?:["\\\\/bfnrt]|u(?:${BMP}|${PAIR}))`, "y"); // ASCII-4

// A place in a line, and the rules of the grammar that are used in more than one place.  The rules throw `malformed`.
class Scanner {
  constructor(line) {
    this.line = line;
    this.at = 0;
  }

  get done() {
    return this.at === this.line.length;
  }

  // What a sticky pattern matches here, which is passed over; undefined if it does not match.
  take(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.line)?.[0];
    this.at += found?.length ?? 0;
    return found;
  }

  need(pattern) {
    const found = this.take(pattern);
    refuseUnless(found !== undefined, "malformed");
    return found;
  }

  quoted() {
    const start = this.at;
    this.need(/"/y);
    while (this.take(/"/y) === undefined) {
      if (this.take(/[ !#-[\]-~]+/y) !== undefined) continue;
      this.need(ESCAPE);
    }
    return JSON.parse(this.line.slice(start, this.at));
  }

  item() {
    return this.take(/[!#-+\--<>-~]+/y) ?? this.quoted();
  }

  field() {
    this.need(/ +/y);
    return this.take(/[!#-'*-Z\\^-z|~][!#-~]*/y) ?? this.quoted(); // ASCII-6
  }

  entry() {
    this.need(/ +/y);
    const key = this.item();
    this.need(/=/y);
    return [key, this.item()];
  }

  entries() {
    this.need(/ +/y);
    const key = this.item();
    this.need(/=/y);
    const items = [];
    if (!this.done && this.line[this.at] !== " ") { // ASCII-8
      do items.push(this.item());
      while (this.take(/,/y));
    }
    return [key, items];
  }

  // All that a rule finds up to the end of the line.
  all(rule) {
    const found = [];
    while (!this.done) found.push(rule.call(this));
    return found;
  }
}

function decodeAscii(payload, from) {
  let text = payload.toString("latin1");
  let end = text.length;
  while (text[end - 1] === " ") end--; // the pattern / +$/ would take quadratic time
  text = text.slice(0, end); // ASCII-5
  refuseUnless(/^[ -~]*$/.test(text), "malformed"); // ASCII-11
  const scanner = new Scanner(text);
  scanner.take(/ +/y);
  const command = scanner.need(/[A-Z_]{1,20}(?![^ ])/y);
  const rule = { ONLINE_USERS: scanner.entry, CONVERSATIONS: scanner.entries }[command];
  if (rule) {
    const start = scanner.at;
    try {
      const pairs = scanner.all(rule);
      const map = new Map(pairs);
      fieldsOf(command, from);
      refuseUnless(map.size === pairs.length, "invalid"); // CODEC-10
      return makeMessage(command, [map], from);
    } catch (error) {
      if (error.code !== "malformed") throw error;
      scanner.at = start; // no map: but it may be fields
    }
  }
  const fields = scanner.all(scanner.field);
  if (rule) {
    fieldsOf(command, from);
    throw new Refused("invalid"); // ASCII-10
  }
  return makeMessage(command, command === "INVITE" ? [fields] : fields, from);
}

function encodeAscii({ command, values }) {
  // JSON's escapes, and those for what is not printable ASCII (ASCII-4).
  const escape = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  const quote = (text) => JSON.stringify(text).replace(/[^ -~]/g, escape);
  const field = (text) => (/^[!#-'*-Z\\^-z|~][!#-~]*$/.test(text) ? text : quote(text));
  const item = (text) => (/^[!#-+\--<>-~]+$/.test(text) ? text : quote(text));
  const entry = ([key, value]) => `${item(key)}=${isText(value) ? item(value) : value.map(item).join(",")}`;
  const parts = values.flatMap((value) => {
    if (value instanceof Map) return [...value].map(entry);
    return isText(value) ? [field(value)] : value.map(field);
  });
  return Buffer.from([command, ...parts].join(" "));
}

// ---- json ----

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }); // which keeps a mark, so that it is refused

// Refuses what JSON.parse would take: nesting above 4 levels (LIMIT-17) and lone surrogates (LIMIT-24).  What is no
// JSON anyway is left to JSON.parse.
function checkNestingAndEscapes(text) {
  let depth = 0;
  let inText = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '"') {
      inText = !inText;
    } else if (inText && character === "\\") {
      at++; // to what is escaped
      const unit = text[at] === "u" ? parseInt(text.slice(at + 1, at + 5), 16) : 0;
      if (unit >= 0xd800 && unit <= 0xdfff) {
        const isPair = unit <= 0xdbff && /^\\u[Dd][C-Fc-f]/.test(text.slice(at + 5, at + 9));
        refuseUnless(isPair, "malformed");
        at += 10; // to the last digit of the second half
      }
    } else if (!inText && (character === "{" || character === "[")) {
      depth++;
      refuseUnless(depth <= 4, "malformed");
    } else if (!inText && (character === "}" || character === "]")) {
      depth--;
    }
  }
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

// A value of JSON with each object in it as a Map.
function withMaps(value) {
  if (Array.isArray(value)) return value.map(withMaps);
  if (isObject(value)) return new Map(Object.entries(value).map(([key, item]) => [key, withMaps(item)]));
  return value;
}

function decodeJson(payload, from) {
  let parsed;
  try {
    const text = utf8.decode(payload); // JSON-8, JSON-10
    checkNestingAndEscapes(text);
    parsed = JSON.parse(text); // of duplicate keys it takes the last (JSON-14)
  } catch {
    throw new Refused("malformed"); // JSON-7, JSON-9
  }
  const members = withMaps(parsed);
  refuseUnless(members instanceof Map && isText(members.get("type")), "malformed"); // JSON-7
  const command = members.get("type");
  const names = fieldsOf(command, from).map(([name]) => name);
  refuseUnless(names.every((name) => members.has(name)), "invalid"); // JSON-12
  return makeMessage(command, names.map((name) => members.get(name)), from); // JSON-11
}

function encodeJson({ command, values }) {
  const write = (value) => {
    if (!(value instanceof Map)) return JSON.stringify(value);
    return `{${[...value].map(([key, item]) => `${write(key)}:${write(item)}`).join(",")}}`;
  };
  const names = Object.keys(COMMANDS[command].fields);
  return Buffer.from(write(new Map([["type", command], ...names.map((name, n) => [name, values[n]])])));
}

// ---- Streams ----

const CODECS = {
  ascii: { decode: decodeAscii, encode: encodeAscii, isBlank: (line) => /^ *$/.test(line) }, // ASCII-3
  json: { decode: decodeJson, encode: encodeJson, isBlank: (line) => /^[ \t\r]*$/.test(line) }, // JSON-5
};

const LF = 0x0a;
const CR = 0x0d;

// The name of the codec that a stream begins with (CODEC-12 to CODEC-15), "none" if there is none, null if more bytes
// are needed to tell.
function detect(bytes) {
  if (bytes.length === 0) return null;
  const text = bytes.toString("latin1");
  if (text[0] === "{") return "json";
  if (text[0] === "\0") return "msgpack";
  if (!/[A-Z]/.test(text[0])) return "none";
  const end = text.slice(0, 21).search(/[ \n]/);
  if (end === -1) return text.length < 21 ? null : "ascii";
  if (text[end] === "\n") return "ascii";
  if (end + 1 === text.length) return null;
  return "\x80()]}".includes(text[end + 1]) ? "pickle" : "ascii";
}

// One end of a connection: what it reads, and whether it has closed.
class Connection {
  constructor(codec, from, registered) {
    this.codec = codec;
    this.from = from;
    this.registered = registered;
    this.unread = Buffer.alloc(0);
    this.items = [];
    this.closed = false;
  }

  read(bytes) {
    if (this.closed) return; // GOODBYE-6
    this.unread = Buffer.concat([this.unread, bytes]);
    if (this.codec === "auto") this.tellCodec();
    if (!Object.hasOwn(CODECS, this.codec)) return;
    while (!this.closed) {
      const line = this.takeLine();
      if (line === null) return;
      if (!CODECS[this.codec].isBlank(line.toString("latin1"))) this.handle(line);
    }
  }

  tellCodec() {
    const start = this.unread.findIndex((byte) => !" \r\n".includes(String.fromCharCode(byte))); // CODEC-11
    this.unread = start === -1 ? Buffer.alloc(0) : this.unread.subarray(start);
    this.codec = detect(this.unread) ?? "auto";
    this.closed = this.codec === "none"; // CODEC-15
  }

  // The next line without its end; null if it is not all there, or too large.
  takeLine() {
    const end = this.unread.indexOf(LF);
    const stop = end === -1 ? this.unread.length : end;
    const size = stop > 0 && this.unread[stop - 1] === CR ? stop - 1 : stop; // ASCII-2, JSON-4, LIMIT-1
    if (size > sizeLimit(this.from, this.registered)) {
      this.refuse("too-large"); // LIMIT-4
      return null;
    }
    if (end === -1) return null;
    const line = this.unread.subarray(0, size);
    this.unread = this.unread.subarray(end + 1);
    return line;
  }

  handle(line) {
    try {
      const message = CODECS[this.codec].decode(line, this.from);
      if (this.from === "client") this.step(message.command);
      this.items.push({ message: tagMessage(message) });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.refuse(error.code);
    }
  }

  // What a client's message does to the state of the connection; refuses what may not be sent in it.
  step(command) {
    if (command === "GOODBYE") {
      this.closed = true; // GOODBYE-1, GOODBYE-7
    } else if (command === "REGISTER") {
      refuseUnless(!this.registered, "already-registered"); // REGISTER-3
      this.registered = true;
    } else {
      refuseUnless(this.registered, "not-registered"); // CONN-14
    }
  }

  refuse(code) {
    this.items.push({ error: code });
    const isStranger = this.from === "client" && !this.registered;
    if (code === "too-large") this.closed = true; // CONN-24
    if (isStranger && (code === "malformed" || code === "unknown-command")) this.closed = true; // CONN-15
  }
}

// ---- Requests and answers ----

function tag(value) {
  if (isText(value)) return { text: value };
  if (Array.isArray(value)) return { texts: value };
  return { map: [...value].map(([key, item]) => [key, tag(item)]) };
}

const untag = ({ text, texts, map }) => text ?? texts ?? new Map(map.map(([key, item]) => [key, untag(item)]));

function tagMessage({ command, values }) {
  const names = Object.keys(COMMANDS[command].fields);
  return { command, fields: Object.fromEntries(names.map((name, n) => [name, tag(values[n])])) };
}

function untagMessage({ command, fields }) {
  return { command, values: Object.keys(COMMANDS[command].fields).map((name) => untag(fields[name])) };
}

const UNSUPPORTED = { unsupported: true };

function answerMessage({ codec, from, bytes }) {
  if (!Object.hasOwn(CODECS, codec)) return UNSUPPORTED;
  const payload = Buffer.from(bytes, "hex");
  try {
    refuseUnless(payload.length <= sizeLimit(from, true), "too-large");
    return { message: tagMessage(CODECS[codec].decode(payload, from)) };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { error: error.code };
  }
}

function answerStream({ codec, from, registered, pieces }) {
  if (codec !== "auto" && !Object.hasOwn(CODECS, codec)) return UNSUPPORTED;
  const connection = new Connection(codec, from, registered);
  for (const piece of pieces) connection.read(Buffer.from(piece, "hex"));
  if (["msgpack", "pickle"].includes(connection.codec)) return UNSUPPORTED;
  return { items: connection.items, closed: connection.closed };
}

function answerEncode({ codec, message }) {
  if (!Object.hasOwn(CODECS, codec)) return UNSUPPORTED;
  return { bytes: CODECS[codec].encode(untagMessage(message)).toString("hex") };
}

const ANSWERS = { message: answerMessage, stream: answerStream, encode: answerEncode };

function answer(request) {
  return (ANSWERS[request.kind] ?? (() => UNSUPPORTED))(request);
}

// Requests end with LF.  (node:readline would also split at U+2028, which JSON texts may hold.)
let partial = "";
process.stdin.setEncoding("utf-8");
process.stdin.on("data", (chunk) => {
  const lines = (partial + chunk).split("\n");
  partial = lines.pop();
  for (const line of lines) process.stdout.write(`${JSON.stringify(answer(JSON.parse(line)))}\n`);
});
