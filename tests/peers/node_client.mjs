#!/usr/bin/env node
// Instant messenger client in the JSON codec: one JSON object a line.
//
// usage: node node_client.mjs HOST PORT USERNAME STATUS
//
// commands on stdin, one a line:
//   invite bo cy / join ID / send ID text / leave ID / status text / list / quit

import net from "node:net";

const GOODBYE_TIMEOUT = 1000; // ms to wait for the server's end of stream

const [host, port, username, status] = process.argv.slice(2);
if (status === undefined) {
  console.error("usage: node node_client.mjs HOST PORT USERNAME STATUS");
  process.exit(2);
}

// Splits a stream of bytes at line feeds. Bytes are decoded a whole line at a
// time, so a character may be spread over any number of chunks. (node:readline
// would also split at U+2028, which JSON strings may hold.)
function splitLines(stream, onLine, onEnd) {
  let partial = [];
  stream.on("data", (chunk) => {
    let start = 0;
    for (let end; (end = chunk.indexOf(0x0a, start)) !== -1; start = end + 1) {
      partial.push(chunk.subarray(start, end));
      const line = Buffer.concat(partial);
      partial = [];
      onLine(line);
    }
    if (start < chunk.length) partial.push(chunk.subarray(start));
  });
  stream.on("end", () => onEnd(Buffer.concat(partial)));
}

const show = (line) => process.stdout.write(`${line}\n`);
const byBytes = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b));

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function isText(value) {
  return typeof value === "string";
}

function isMap(value, isValue) {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) &&
    Object.values(value).every(isValue)
  );
}

function need(condition, field) {
  if (!condition) throw new Error(`missing or invalid field: ${field}`);
}

const MAX_DEPTH = 4;

function depth(value) {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Object.values(value).reduce((max, v) => Math.max(max, depth(v)), 0);
}

function parse(bytes) {
  const message = JSON.parse(decoder.decode(bytes), (key, value) => {
    const texts = isText(value) ? [key, value] : [key];
    if (texts.some((text) => /\p{Surrogate}/u.test(text))) throw new Error("lone surrogate");
    return value;
  });
  if (depth(message) > MAX_DEPTH) throw new Error("nested too deeply");
  need(isText(message?.type), "type");
  return message;
}

const handlers = {
  ONLINE_USERS({ users }) {
    need(isMap(users, isText), "users");
    const entries = Object.entries(users).map(([name, s]) => `${name}=${s}`);
    show(`online ${entries.sort(byBytes).join(", ")}`);
  },
  INVITATION({ conversation, source }) {
    need(isText(conversation), "conversation");
    need(isText(source), "source");
    show(`invitation ${conversation} from ${source}`);
  },
  MESSAGE({ conversation, sender, text }) {
    need(isText(conversation), "conversation");
    need(isText(sender), "sender");
    need(isText(text), "text");
    show(`message ${conversation} ${sender}: ${text}`);
  },
  CONVERSATIONS({ conversations }) {
    const isMembers = (v) => Array.isArray(v) && v.every(isText);
    need(isMap(conversations, isMembers), "conversations");
    const ids = Object.keys(conversations).sort(byBytes);
    const entries = ids.map((id) => `${id}=[${conversations[id].join(", ")}]`);
    show(`conversations ${entries.join("; ")}`);
  },
  ERROR({ message }) {
    need(isText(message), "message");
    show(`error ${message}`);
  },
};

// A line is one whole message, so the client survives a bad one: it reports
// the message on stderr and goes on with the next line.
function onMessage(bytes) {
  if (/^[ \t\r]*$/.test(bytes.toString("latin1"))) return; // a blank line
  try {
    const message = parse(bytes);
    if (Object.hasOwn(handlers, message.type)) handlers[message.type](message);
    else console.error(`ignored: unknown command ${JSON.stringify(message.type)}`);
  } catch (error) {
    console.error(`ignored: ${error.message}`);
  }
}

const socket = net.connect({ host, port: Number(port), noDelay: true });

function send(type, fields = {}) {
  if (socket.writable) socket.write(`${JSON.stringify({ type, ...fields })}\n`);
}

function partition(text) {
  const space = text.indexOf(" ");
  return space === -1 ? [text, ""] : [text.slice(0, space), text.slice(space + 1)];
}

let leaving = false;

function quit() {
  if (leaving) return;
  leaving = true;
  send("GOODBYE");
  setTimeout(() => socket.destroy(), GOODBYE_TIMEOUT);
}

function onCommand(bytes) {
  if (leaving) return;
  const [word, rest] = partition(bytes.toString("utf8"));
  if (word === "invite") send("INVITE", { users: rest.split(" ") });
  else if (word === "join") send("JOIN", { conversation: rest });
  else if (word === "send") {
    const [conversation, text] = partition(rest);
    send("SEND_MESSAGE", { conversation, text });
  } else if (word === "leave") send("LEAVE", { conversation: rest });
  else if (word === "status") send("STATUS", { status: rest });
  else if (word === "list") send("LIST_CONVERSATIONS");
  else if (word === "quit") quit();
  else console.error(`unknown command: ${word}`);
}

let ended = false;

splitLines(socket, onMessage, () => { // an incomplete last message is dropped
  ended = true;
});
socket.on("error", (error) => console.error(`connection: ${error.message}`));
socket.on("close", (hadError) => {
  const exit = () => process.exit(hadError ? 1 : 0);
  if (ended) process.stdout.write("closed\n", exit);
  else exit();
});
socket.on("connect", () => {
  send("REGISTER", { username, status });
  splitLines(process.stdin, onCommand, (last) => {
    if (last.length > 0) onCommand(last);
    quit();
  });
});
