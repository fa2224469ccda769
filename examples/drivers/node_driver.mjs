#!/usr/bin/env node
// Works a client for `improto check client --driver`; `docs/driver.md` is what it follows.  The client, in json, comes
// first; the driver, at the end, works any that has such methods.  Node.js 18+, standard library only.

import net from "node:net";

// ---- A client ----

const MAX_SIZE = 16 * 1024 * 1024; // bytes of one message (LIMIT-20)
const MAX_DEPTH = 4; // levels of nesting
const LAST_WORDS = 1000; // ms to wait for the server's end after GOODBYE (CLIENT-20)

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const isText = (value) => typeof value === "string";
const isTexts = (value) => Array.isArray(value) && value.every(isText);
const mapOf = (isValue) => (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value) && Object.values(value).every(isValue);

// What each command of a server has to have, by JSON's names.
const RESPONSES = {
  ONLINE_USERS: { users: mapOf(isText) },
  INVITATION: { conversation: isText, source: isText },
  CONVERSATIONS: { conversations: mapOf(isTexts) },
  MESSAGE: { conversation: isText, sender: isText, text: isText },
  ERROR: { message: isText },
};

class Ignored extends Error {}

function need(condition, why) {
  if (!condition) throw new Ignored(why);
}

function depth(value) {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Object.values(value).reduce((most, each) => Math.max(most, depth(each)), 0);
}

function noLoneSurrogate(key, value) {
  need(!/\p{Surrogate}/u.test(isText(value) ? `${key} ${value}` : key), "a lone surrogate"); // LIMIT-24
  return value;
}

// Gives a line's command and its fields, in their order; throws if there is nothing that makes sense.
function parse(line) {
  const members = JSON.parse(decoder.decode(line), noLoneSurrogate);
  need(depth(members) <= MAX_DEPTH, "nested too deeply");
  need(isText(members?.type), "no type");
  need(Object.hasOwn(RESPONSES, members.type), "an unknown command"); // CLIENT-6
  const fields = Object.entries(RESPONSES[members.type]).map(([name, isRight]) => {
    need(Object.hasOwn(members, name) && isRight(members[name]), `a wrong ${name}`); // CLIENT-18
    return [name, members[name]];
  });
  return { type: members.type, ...Object.fromEntries(fields) };
}

// One connection.  `told` has a method for each thing that its user is to know.
class Client {
  #socket;
  #told;
  #partial = []; // pieces of a line that is not whole yet …
  #size = 0; // … and their bytes
  #name = null; // the one in the REGISTER that was not refused
  #registered = false;
  #joined = new Set();
  #wasIn = new Set(); // conversations for which JOIN was ever sent
  #lists = 0; // LIST_CONVERSATIONS without their reply
  #leaving = false;
  #ended = false;

  constructor(host, port, told) {
    this.#told = told;
    this.#socket = net.connect({ host, port, noDelay: true });
    this.#socket.on("data", (chunk) => this.#read(chunk));
    this.#socket.on("end", () => this.#end());
    this.#socket.on("error", () => {}); // "close" follows
    this.#socket.on("close", () => this.#end());
  }

  // Send a request if it may be sent now, and tell whether it was.
  request(type, fields) {
    if (this.#ended || this.#leaving) return false; // CLIENT-21
    const { conversation } = fields;
    if (type === "REGISTER") {
      if (this.#name !== null) return false; // CLIENT-2
      this.#name = fields.username;
    } else if (type === "GOODBYE") {
      this.#leaving = true;
      setTimeout(() => this.#socket.destroy(), LAST_WORDS).unref();
    } else if (!this.#registered) {
      return false; // CLIENT-1
    } else if (type === "JOIN") {
      this.#joined.add(conversation);
      this.#wasIn.add(conversation);
    } else if (type === "LEAVE") {
      this.#joined.delete(conversation);
    } else if (type === "SEND_MESSAGE") {
      if (!this.#joined.has(conversation)) return false; // CLIENT-10, CLIENT-11
    } else if (type === "LIST_CONVERSATIONS") {
      this.#lists += 1;
    }
    this.#socket.write(`${JSON.stringify({ type, ...fields })}\n`);
    return true;
  }

  // Close, and tell nothing any more.
  drop() {
    this.#ended = true;
    this.#socket.destroy();
  }

  // Bytes are decoded a line at a time, so a character may come in any pieces (CLIENT-5).
  #read(chunk) {
    let start = 0;
    while (start < chunk.length && !this.#ended) {
      const end = chunk.indexOf(0x0a, start);
      const piece = chunk.subarray(start, end === -1 ? chunk.length : end);
      start += piece.length + 1;
      this.#partial.push(piece);
      this.#size += piece.length;
      if (this.#size > MAX_SIZE) return this.#tooLarge();
      if (end === -1) return;
      this.#line(Buffer.concat(this.#partial));
      this.#partial = [];
      this.#size = 0;
    }
  }

  #line(line) {
    if (/^[ \t\r]*$/.test(line.toString("latin1"))) return; // JSON-5
    try {
      const message = parse(line);
      this.#take(message);
      this.#told.message(message);
    } catch (error) {
      this.#told.ignored(error.message); // whatever it is, the next line counts again
    }
  }

  // What a message changes; throws if it makes no sense (CLIENT-19).
  #take({ type, users, conversation }) {
    if (type === "ERROR") {
      if (!this.#registered) this.#name = null; // CLIENT-4
    } else if (type === "ONLINE_USERS") {
      need(this.#name !== null && Object.hasOwn(users, this.#name), "a roster of others"); // CLIENT-7
      this.#registered = true;
    } else {
      need(this.#registered, "before the first roster");
      if (type === "MESSAGE") need(this.#wasIn.has(conversation), "said where the user never was");
      if (type === "CONVERSATIONS") {
        need(this.#lists > 0, "nobody asked for it");
        this.#lists -= 1;
      }
    }
  }

  #tooLarge() {
    this.#told.ignored("too large");
    this.#end();
    this.#socket.destroy();
  }

  #end() {
    if (this.#ended) return;
    this.#ended = true;
    this.#told.end(this.#leaving);
  }
}

// ---- The driver ----

const REQUESTS = {
  register: ["REGISTER", "username", "status"],
  status: ["STATUS", "status"],
  invite: ["INVITE", "users"],
  join: ["JOIN", "conversation"],
  send: ["SEND_MESSAGE", "conversation", "text"],
  leave: ["LEAVE", "conversation"],
  list: ["LIST_CONVERSATIONS"],
  goodbye: ["GOODBYE"],
};
const EVENTS = {
  ONLINE_USERS: "online",
  INVITATION: "invitation",
  CONVERSATIONS: "conversations",
  MESSAGE: "message",
  ERROR: "error",
};

const tell = (members) => process.stdout.write(`${JSON.stringify(members)}\n`);
const told = {
  message({ type, ...fields }) {
    const code = type === "ERROR" ? { code: /^([a-z][a-z-]*): /.exec(fields.message)?.[1] ?? null } : {}; // ERROR-11
    tell({ event: EVENTS[type], ...fields, ...code });
  },
  ignored: (why) => tell({ event: "ignored", why }),
  end: (asked) => tell({ event: asked ? "closed" : "lost" }),
};

let client = null;

// Do what the suite's user wants, and give the answer.
function act({ do: word, ...members }) {
  if (word === "connect") {
    if (members.codec !== "json") return "unsupported";
    client = new Client(members.host, members.port, told);
    return "did";
  }
  if (word === "reset") {
    client?.drop();
    client = null;
    return "did";
  }
  if (!Object.hasOwn(REQUESTS, word)) return "unsupported";
  const [type, ...names] = REQUESTS[word];
  const fields = Object.fromEntries(names.map((name) => [name, members[name]]));
  return client?.request(type, fields) ? "did" : "refused";
}

// Commands end with LF.  (node:readline would also split at U+2028, which JSON texts may hold.)
let partial = "";
process.stdin.setEncoding("utf-8");
process.stdin.on("data", (chunk) => {
  const lines = (partial + chunk).split("\n");
  partial = lines.pop();
  for (const line of lines) {
    const command = JSON.parse(line);
    tell({ [act(command)]: command.do });
  }
});
process.stdin.on("end", () => client?.drop());
