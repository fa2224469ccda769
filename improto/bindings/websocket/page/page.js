// What is seen of a client.  Texts of others only ever become text, never markup.
import { Client, seen } from "./client.js";

const $ = (id) => document.getElementById(id);
const client = new Client(location.origin.replace(/^http/, "ws"), told);
const touch = matchMedia("(hover: none)").matches; // then no keyboard has Shift+Enter
let current, shown, due, atEnd = true; // what conversation to show, its talk once it is, when to show more, whether its end

// Makes an element; strings among its children are text, whatever they hold.
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  element.append(...children);
  return element;
}

const name = (text) => make("bdi", {}, seen(text)); // its direction changes nothing around it
const about = (id) => make("span", { class: "unseen" }, " conversation ", name(id)); // says where a button stands
const words = (names) => // a list, in words
  names.flatMap((each, at) => [...(at ? [at < names.length - 1 ? ", " : " and "] : []), name(each)]);
const button = (onclick, ...label) => Object.assign(make("button", { type: "button" }, ...label), { onclick });

// Shows a map as list items; those that stay keep the focus in them.  `item` fills a new one, and gives what updates it.
function list(id, entries, item) {
  const parent = $(id);
  for (const child of [...parent.children].filter((each) => !entries.has(each.key))) {
    if (child.contains(document.activeElement)) $("title").focus();
    child.remove();
  }
  const there = new Map([...parent.children].map((child) => [child.key, child]));
  [...entries].forEach(([key, value], at) => {
    const child = there.get(key) ?? Object.assign(make("li", {}), { key });
    child.update ??= item(key, child);
    if (child !== parent.children[at]) parent.insertBefore(child, parent.children[at]);
    child.update(value);
  });
}

function show() {
  due = clearTimeout(due);
  const { talks, invitations, conversations, users } = client;
  $("state").textContent = {
    offline: "Offline", connecting: "Connecting …", online: `Online as ${seen(client.name)}`,
    waiting: `No connection${client.why && ": "}${client.why}; next attempt in ${Math.ceil(client.delay / 1000)} s`,
  }[client.state];
  const before = document.body.dataset.state, at = document.activeElement;
  document.body.dataset.state = client.state;
  $("quit").hidden = client.state === "offline";
  $("chat").hidden = !($("enter").hidden = client.known && client.state !== "offline");
  for (const act of document.querySelectorAll("form > button")) act.disabled = client.state !== (act.form.id === "enter" ? "offline" : "online");
  showTalk(talks.get(current));
  list("invitations", invitations, invitation);
  list("talks", talks, talk);
  list("others", new Map([...conversations].filter(([id]) => !talks.get(id)?.joined && !invitations.has(id))), other);
  list("users", new Map([...users].filter(([user]) => user !== client.name)), user);
  const unread = [...talks.values()].reduce((sum, each) => sum + each.unread, 0);
  document.title = unread ? `(${unread}) improto` : "improto";
  if (client.state !== before && client.state === "offline") $("name").focus();
  if (client.state === "online" && (at === document.body || $("enter").contains(at))) $("title").focus();
}

function title(id) {
  const others = client.members(id).filter((member) => member !== client.name);
  return others.length ? words(others) : ["Conversation ", name(id)];
}

function invitation(id, item) {
  const join = button(() => enter(id), "Join", about(id)), decline = button(() => leave(id), "Decline", about(id));
  item.append(make("p", {}, name(client.invitations.get(id)), " invites you"), make("div", { class: "row" }, join, decline));
  return () => {};
}
function talk(id, item) {
  const choose = item.appendChild(button(() => open(id)));
  return ({ joined, unread }) => {
    choose.setAttribute("aria-current", id === current);
    const note = joined ? make("span", { class: "note" }, unread ? `${unread} new` : "") : make("span", { class: "hint" }, "ended");
    choose.replaceChildren(make("span", {}, ...title(id)), " ", note);
  };
}
function other(id, item) {
  const who = item.appendChild(make("p", {}));
  item.append(button(() => enter(id), "Join", about(id)));
  return (names) => who.replaceChildren(...(names.length ? words(names) : ["Nobody yet"]));
}
function user(who, item) {
  const box = Object.assign(make("input", { type: "checkbox", tabindex: -1 }), { value: who });
  const status = make("span", { class: "hint", dir: "auto" });
  item.append(make("label", {}, box, make("span", {}, name(who)), status));
  return (text) => (status.textContent = text);
}

function showTalk(talk) {
  if (!talk) current = undefined;
  const { joined = false, draft = "", messages = [] } = talk ?? {}, view = $("log"), hidden = !joined && !draft;
  $("leave").hidden = view.hidden = !talk;
  $("leave").textContent = joined ? "Leave" : "Close";
  $("title").replaceChildren(...(talk ? title(current) : ["No conversation"]));
  if (!talk) $("members").textContent = "Start one with people who are online, or take up an invitation.";
  else if (!joined) $("members").textContent = `You are not in it any more${draft && "; the text below is not sent"}. Start another, or join one that goes on.`;
  else if (talk.members.length < 2) $("members").textContent = "Nobody else is here until they join.";
  else $("members").replaceChildren("Members: ", ...words(talk.members));
  if (hidden && $("say").contains(document.activeElement)) $("title").focus(); // what is hidden would lose it
  $("say").hidden = hidden;
  $("text").readOnly = !joined;
  if ($("text").value !== draft) $("text").value = draft;
  if (talk !== shown) view.replaceChildren(make("div", { role: "log" })); // of a new one, only what is added is read out
  atEnd ||= talk !== shown;
  shown = talk;
  const lines = view.firstChild;
  while (lines.firstChild && lines.firstChild.message !== messages[0]) lines.firstChild.remove(); // no longer kept
  for (const message of messages.slice(lines.children.length)) lines.append(line(message, lines.lastChild?.message));
  if (atEnd) view.scrollTop = view.scrollHeight;
  if (talk && atEnd && !document.hidden) talk.unread = 0;
}

function line(message, before) {
  const { sender, text, at } = message;
  const clock = make("time", { datetime: at.toISOString() }, at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  const follows = before?.sender === sender && at - before.at < 120_000;
  const from = make("span", { class: follows ? "unseen" : "from" }, make("b", {}, name(sender)), " ", clock, " ");
  const whose = sender === client.name ? { class: "own" } : {};
  return Object.assign(make("p", whose, from, make("span", { class: "text", dir: "auto" }, text)), { message });
}

function told(kind, text, conversation) {
  if (kind === "news" && conversation !== current) $("news").textContent = text; // else the log is read out
  if (kind === "done") $("done").textContent = text;
  if (kind === "error") {
    const problem = make("p", {}, make("span", { dir: "auto" }, text));
    problem.append(button(() => { problem.remove(); (client.state === "offline" ? $("name") : $("title")).focus(); }, "Dismiss"));
    $("problems").append(problem);
    if ($("problems").children.length > 3) $("problems").firstChild.remove();
  }
  if (kind === "begun") return open(conversation);
  due = kind === "error" ? show() : (due ?? setTimeout(show, 20)); // once for all that comes in a moment
}

function open(id) {
  current = id;
  show();
  ($("say").hidden || touch ? $("title") : $("text")).focus(); // on touch, the text would bring up a keyboard
  $("talk").scrollIntoView({ block: "nearest" });
}
const enter = (id) => { client.join(id); open(id); };
const leave = (id) => { client.leave(id); open(current); };

document.addEventListener("submit", (event) => { event.preventDefault(); $("problems").replaceChildren(); $("done").replaceChildren(); }, true); // before new ones
document.addEventListener("visibilitychange", () => told());
$("enter").onsubmit = () => client.register($("name").value, ($("status").value = $("first-status").value));
$("quit").onclick = () => client.goodbye();
$("leave").onclick = () => leave(current);
$("change").onsubmit = () => client.change($("status").value);
$("invite").onsubmit = () => {
  const chosen = [...$("users").querySelectorAll("input:checked")];
  if (!chosen.length) return told("error", "Choose people first.");
  client.invite(chosen.map((box) => box.value));
  $("invite").reset();
};
$("users").onkeydown = (event) => { // Tab stops once at the list; arrow keys, Home, End and first letters lead through it
  const boxes = [...$("users").querySelectorAll("input")], at = boxes.indexOf(event.target), key = event.key.toLowerCase();
  const named = [...boxes.slice(at + 1), ...boxes].find((box) => key.length === 1 && box.value.toLowerCase().startsWith(key));
  const to = boxes[{ arrowdown: at + 1, arrowup: at - 1, home: 0, end: boxes.length - 1 }[key]] ?? named;
  if (!to || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  to.focus();
};
$("say").onsubmit = () => {
  client.say(current);
  atEnd = true;
  show();
  $("text").focus();
};
$("log").onscroll = ({ target }) => {
  atEnd = target.scrollHeight - target.scrollTop - target.clientHeight < 40;
  if (atEnd && shown?.unread) told();
};
new ResizeObserver(([{ target }]) => atEnd && target.scrollTo(0, target.scrollHeight)).observe($("log"));
$("text").oninput = () => (shown.draft = $("text").value);
$("text").onkeydown = (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || touch) return;
  event.preventDefault();
  $("say").requestSubmit();
};
show();
