// What is seen of a client.  Texts of others only ever become text, never markup.

import { Client } from "./client.js";

const $ = (id) => document.getElementById(id);
const client = new Client(location.origin.replace(/^http/, "ws"), told);
let current, log, state, due; // the conversation that is shown, its messages, the client's state, and when more is shown

// Makes an element; strings among its children are text, whatever they hold.
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  element.append(...children);
  return element;
}

const name = (text) => make("bdi", {}, text); // its direction changes nothing around it
const about = (id) => make("span", { class: "unseen" }, " conversation ", name(id)); // says where a button stands
const words = (names) => // a list, in words
  names.flatMap((each, at) => [...(at ? [at < names.length - 1 ? ", " : " and "] : []), name(each)]);

function button(press, ...label) {
  const made = make("button", { type: "button" }, ...label);
  made.onclick = press;
  return made;
}

// Shows a map as list items.  Those that stay are left alone, with the focus in them; `item` fills a new one, and
// gives what updates it.
function list(id, entries, item) {
  const parent = $(id), section = parent.closest("section"), empty = section.querySelector(".empty");
  for (const child of [...parent.children].filter((each) => !entries.has(each.key))) {
    if (child.contains(document.activeElement)) $("title").focus();
    child.remove();
  }
  const there = new Map([...parent.children].map((child) => [child.key, child]));
  let place = parent.firstElementChild;
  for (const [key, value] of entries) {
    const child = there.get(key) ?? Object.assign(make("li", {}), { key });
    child.update ??= item(key, child);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
    child.update(value);
  }
  section.hidden = entries.size === 0 && !empty;
  empty?.toggleAttribute("hidden", entries.size > 0);
}

function show() {
  due = clearTimeout(due);
  const { talks, invitations, conversations, users } = client;
  $("state").textContent = {
    offline: "Offline", connecting: "Connecting …", online: `Online as ${client.name}`,
    waiting: `No connection; next attempt in ${Math.ceil(client.delay / 1000)} s`,
  }[client.state];
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
  if (client.state !== state && client.state === "offline") $("name").focus();
  const at = document.activeElement;
  if (client.state === "online" && (at === document.body || $("enter").contains(at))) $("title").focus();
  state = client.state;
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
  const box = Object.assign(make("input", { type: "checkbox" }), { value: who });
  const status = make("span", { class: "hint" });
  item.append(make("label", {}, box, make("span", {}, name(who)), status));
  return (text) => status.replaceChildren(text && name(text));
}

function showTalk(talk) {
  if (!talk) current = undefined;
  $("leave").hidden = $("log").hidden = !talk;
  if (!talk?.joined && $("say").contains(document.activeElement)) $("title").focus(); // what is hidden would lose it
  $("say").hidden = !talk?.joined;
  $("leave").textContent = talk?.joined ? "Leave" : "Close";
  $("title").replaceChildren(...(talk ? title(current) : ["No conversation"]));
  if (!talk) $("members").textContent = "Start one with people who are online, or take up an invitation.";
  else if (!talk.joined) $("members").textContent = "You are not in it any more.";
  else $("members").replaceChildren("Members: ", ...words(client.members(current)));
  const view = $("log");
  const other = log !== talk?.messages, atEnd = other || view.scrollHeight - view.scrollTop - view.clientHeight < 40;
  if (other && log) log.draft = $("text").value; // what was begun to be said there is not for others
  if (other) $("text").value = talk?.messages.draft ?? "";
  if (other) view.replaceChildren();
  log = talk?.messages;
  if (!talk) return;
  talk.unread = 0;
  while (view.firstChild && view.firstChild.message !== log[0]) view.firstChild.remove(); // no longer kept
  for (const message of log.slice(view.children.length)) view.append(line(message, view.lastChild?.message));
  if (atEnd) view.scrollTop = view.scrollHeight;
}

function line(message, before) {
  const { sender, text, at } = message;
  const clock = make("time", {}, at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  const follows = before?.sender === sender && at - before.at < 120_000;
  const from = make("span", { class: follows ? "unseen" : "from" }, make("b", {}, name(sender)), " ", clock, " ");
  const whose = sender === client.name ? "message own" : "message";
  return Object.assign(make("p", { class: whose }, from, make("span", { class: "text", dir: "auto" }, text)), { message });
}

function told(kind, text, conversation) {
  if (kind === "news" && conversation !== current) $("news").textContent = text; // else the log is read out
  if (kind === "error") {
    const dismiss = button(() => { problem.remove(); (state === "offline" ? $("name") : $("title")).focus(); }, "Dismiss");
    const problem = make("p", {}, make("span", { dir: "auto" }, text), dismiss);
    $("problems").append(problem);
    if ($("problems").children.length > 3) $("problems").firstChild.remove();
  }
  if (kind === "begun") return open(conversation);
  due ??= setTimeout(show, 20); // once for all that comes in a moment
}

function open(id) {
  current = id;
  show();
  ($("say").hidden ? $("title") : $("text")).focus();
}

const enter = (id) => { client.join(id); open(id); };

function leave(id) {
  client.leave(id);
  $("title").focus();
  show();
}

document.addEventListener("submit", (event) => event.preventDefault());
$("enter").onsubmit = () => {
  $("problems").replaceChildren();
  $("status").value = $("first-status").value;
  client.register($("name").value, $("first-status").value);
};
$("quit").onclick = () => client.goodbye();
$("leave").onclick = () => leave(current);
$("change").onsubmit = () => client.change($("status").value);
$("invite").onsubmit = () => {
  const chosen = [...$("users").querySelectorAll("input:checked")];
  if (!chosen.length) return told("error", "Choose people first.");
  client.invite(chosen.map((box) => box.value));
  for (const box of chosen) box.checked = false;
};
$("say").onsubmit = () => {
  if ($("text").value && client.say(current, $("text").value)) $("text").value = "";
  $("log").scrollTop = $("log").scrollHeight;
  $("text").focus();
};
$("text").onkeydown = (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("say").requestSubmit();
};
show();
