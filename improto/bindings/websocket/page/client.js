// One user of an improto server, over one WebSocket after another: what was sent and received, without any page.

const SILENCE = 60_000, WAIT = 30_000; // milliseconds after which a server is asked for a word, and lost (CONN-26, CONN-27)
const FIRST = 1_000, MOST = 30_000; // … before an attempt to connect again
const TEXT = 8_192, KEPT = 1_000; // bytes of a text (LIMIT-11), messages of a conversation and invitations that are kept
const PASSING = ["name-in-use", "forbidden", "rate-limited", "too-many", "timeout", "shutting-down"]; // may be over soon

const text = (value) => typeof value === "string";
const object = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const map = (fits) => (value) => object(value) && Object.values(value).every(fits);
// Tells whether a value nests in few levels (LIMIT-17), and holds no half of a character (LIMIT-24).
const sound = (value, levels = 4) => text(value) ? value.isWellFormed() : !(value instanceof Object)
  || (levels > 0 && Object.entries(value).every((entry) => entry.every((each) => sound(each, levels - 1))));
const FIELDS = {
  ONLINE_USERS: { users: map(text) },
  INVITATION: { conversation: text, source: text },
  CONVERSATIONS: { conversations: map((list) => Array.isArray(list) && list.every(text)) },
  MESSAGE: { conversation: text, sender: text, text },
  ERROR: { message: text },
};
// What nobody would see in a name, or what turns it round, becomes an escape; what joins letters or emoji stays.
const UNSEEN = /(\p{RGI_Emoji}|(?<=[\p{M}\p{sc=Arab}])[\u200c\u200d](?=\p{L}))|[[\p{C}\p{Z}\p{DI}\u2800]--[ ]]/gv;
export const seen = (name) => name.replace(UNSEEN, (each, joins) => joins ?? `\\u${each.codePointAt(0).toString(16).padStart(4, "0")}`);

export class Client {
  state = "offline"; // or "connecting", "online", "waiting" for another attempt
  name = ""; status = "";
  users = new Map(); // name → status
  invitations = new Map(); // conversation → who invites
  conversations = new Map(); // conversation → names of its members
  talks = new Map(); // conversation → { joined, members, unread, messages, draft }: those that the user has been in
  delay = 0; why = ""; // milliseconds before the next attempt, and what makes it necessary
  #sent = []; // { talk, text } of what has not come back as a message (SEND-3), {} of a status; `lists` that have to come before
  #left = new Set(); // conversations of which something may still be on its way

  // `told` hears of each change, of some as ("error" or "done", text), ("news", text, conversation), ("begun", "", conversation).
  constructor(url, told) {
    Object.assign(this, { url, told });
    setInterval(() => this.#look(), 10_000);
    addEventListener("online", () => this.state === "waiting" && this.#connect());
  }

  register(name, status) {
    Object.assign(this, { name, status, attempts: 0, known: false });
    this.#connect();
  }
  goodbye() {
    this.#send("GOODBYE");
    this.#leave("offline");
    this.talks.clear();
    this.told();
  }
  invite(users) { if (this.#send("INVITE", { users })) this.#list(); }
  join(conversation) {
    this.talks.set(conversation, { joined: true, members: this.members(conversation), unread: 0, messages: [], draft: "" });
    this.invitations.delete(conversation);
    this.#send("JOIN", { conversation });
    this.#list();
  }
  // Leaves or declines; of one that has ended, forgets what was said.
  leave(conversation) {
    const may = this.talks.get(conversation)?.joined || this.invitations.has(conversation);
    this.talks.delete(conversation);
    this.invitations.delete(conversation);
    if (may && this.#send("LEAVE", { conversation })) { this.#left.add(conversation); this.#list(); }
  }
  members(conversation) { return this.talks.get(conversation)?.members ?? this.conversations.get(conversation) ?? []; }

  // Sends the draft.  It is one again when the server seems to have refused it, or to have gone before it got it.
  say(conversation) {
    const talk = this.talks.get(conversation), text = talk.draft;
    if (new TextEncoder().encode(text).length > TEXT) return this.told("error", `A message has at most ${TEXT} bytes. Send this one in parts.`);
    if (!text || !talk.joined || !this.#send("SEND_MESSAGE", { conversation, text })) return;
    talk.draft = "";
    this.#sent.push({ talk, text, lists: this.asked });
  }
  #unsaid(count) { for (const { talk, text } of this.#sent.splice(0, count).reverse()) if (talk) talk.draft = text + (talk.draft && "\n") + talk.draft; }
  change(status) {
    if (!this.#send("STATUS", { status: (this.status = status) })) return;
    this.#sent.push({ lists: this.asked });
    this.#list();
  }
  #send(type, fields = {}) {
    if (this.state === "online") this.socket.send(JSON.stringify({ type, ...fields }));
    return this.state === "online";
  }
  #list(asked = this.asked) { if (this.#send("LIST_CONVERSATIONS")) this.asked = asked + 1; }

  #connect() {
    clearTimeout(this.timer);
    Object.assign(this, { state: "connecting", asked: 0, heard: Date.now() });
    const socket = (this.socket = new WebSocket(this.url, "improto.v1.json"));
    socket.onopen = () => socket.send(JSON.stringify({ type: "REGISTER", username: this.name, status: this.status }));
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = () => this.#lost();
    this.told();
  }

  #leave(state) {
    const { socket } = this;
    clearTimeout(this.timer);
    socket.onopen = socket.onmessage = socket.onclose = null;
    if (this.state === "online" && state === "offline") setTimeout(() => socket.close(), 1_000); // CLIENT-20
    else socket.close();
    this.state = state;
    this.#unsaid(Infinity);
    for (const talk of this.talks.values()) talk.joined = false;
    for (const known of [this.users, this.invitations, this.conversations, this.#left]) known.clear();
  }
  #lost(why = "") {
    const online = this.state === "online";
    this.#leave(this.known ? "waiting" : "offline");
    if (!this.known) return this.told("error", "The server cannot be reached, or does not allow this page. Try again, or ask those who run it.");
    Object.assign(this, { why, delay: Math.min(MOST, FIRST * 2 ** this.attempts++) * (1 - Math.random() / 2) });
    this.timer = setTimeout(() => this.#connect(), this.delay);
    this.told(...(online ? ["error", `${why || "The connection is lost"}. You are in no conversation any more.`] : []));
  }
  #look() {
    const silent = Date.now() - this.heard;
    if (this.state === "online" && (this.asked === Infinity || (silent > SILENCE && !this.asked))) this.#list(0);
    if (["connecting", "online"].includes(this.state) && silent > SILENCE + WAIT) this.#lost("The server does not answer");
  }

  #receive(data) {
    this.heard = Date.now();
    let message = null;
    try { message = JSON.parse(data); } catch { /* then it is none */ }
    if (!object(message) || !sound(message) || !text(message.type) || !/^[A-Z_]{1,20}$/.test(message.type)) return this.#nonsense();
    if (!Object.hasOwn(FIELDS, message.type)) return this.#nonsense(`sent ${message.type}, which this page does not know`); // CLIENT-6
    const fields = Object.entries(FIELDS[message.type]);
    if (!fields.every(([name, fits]) => Object.hasOwn(message, name) && fits(message[name]))) return this.#nonsense();
    this[message.type](message);
  }
  #nonsense(what = "sent something that makes no sense") { this.told("error", `The server has ${what}; it was ignored.`); }

  ONLINE_USERS({ users }) {
    if (!Object.hasOwn(users, this.name)) return this.#nonsense();
    this.users = new Map(Object.entries(users).sort(([a], [b]) => a.localeCompare(b)));
    Object.assign(this, { state: "online", attempts: 0, known: true });
    if (!this.asked) this.#list();
    this.told();
  }

  INVITATION({ conversation, source }) {
    this.#list();
    if (source === this.name) {
      this.join(conversation); // whoever starts a conversation wants to be in it
      return this.told("begun", "", conversation);
    }
    this.invitations.set(conversation, source);
    if (this.invitations.size > KEPT) this.invitations.delete(this.invitations.keys().next().value);
    this.told("news", `${seen(source)} invites you to a conversation.`, conversation);
  }

  CONVERSATIONS({ conversations }) {
    if (!this.asked) return this.#nonsense();
    // What was sent before this list was asked for, and has not come back, is refused or needs no answer (ORDER-5).
    const over = this.#sent.filter((each) => (each.lists = Math.min(each.lists, this.asked) - 1) < 0);
    this.#unsaid(over.length);
    if (over.some(({ talk }) => !talk)) this.told("done", "Your status is changed.");
    this.conversations = new Map(Object.entries(conversations));
    if (--this.asked === 0) { // else a later one shows more of what was requested meanwhile
      this.#left.clear();
      for (const [id, talk] of this.talks) {
        talk.joined &&= this.conversations.get(id)?.includes(this.name) ?? false;
        if (talk.joined) talk.members = this.conversations.get(id);
      }
      for (const id of this.invitations.keys()) if (!this.conversations.has(id)) this.invitations.delete(id);
    }
    this.told();
  }

  MESSAGE({ conversation, sender, text }) {
    const talk = this.talks.get(conversation);
    if (!talk) return this.#left.has(conversation) || this.#nonsense();
    if (sender === this.name) this.#sent.splice(0, 1 + this.#sent.findIndex((each) => each.talk === talk && each.text === text));
    talk.messages.push({ sender, text, at: new Date() });
    talk.messages.splice(0, talk.messages.length - KEPT);
    talk.unread++;
    if (!this.asked && !talk.members.includes(sender)) this.#list();
    this.told("news", `${seen(sender)} has written.`, conversation);
  }

  ERROR({ message }) {
    const [, code, why] = /^([a-z][a-z-]*): (.*)$/su.exec(message) ?? [, "", message];
    const said = code ? `${why} (${code})` : why, online = this.state === "online";
    if (!online && this.known && PASSING.includes(code)) return this.#lost(said);
    if (!online || code === "forbidden") this.#leave("offline"); // who is put out stays out (ERROR-10)
    if (code === "rate-limited") this.asked = Infinity; // who knows what was refused, so it will be asked anew
    if (this.asked === Infinity || this.#sent[0]?.lists === 0) this.#unsaid(1); // else it is about what came before a list (ORDER-2)
    this.told("error", said);
  }
}
