"use strict";
// Draws what /api-sandbox/state says. Message bodies come as HTML that the server has already escaped; all else is text.

const state = { version: -1, channels: [], messages: [], channel: null, thread: null };
const byId = (id) => document.getElementById(id);
const seen = (id) => Number(localStorage.getItem("seen:" + id) || 0);

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function avatar() {
  const image = element("img");
  image.src = "avatar.svg";
  image.alt = "";
  return image;
}

const date = (ts) => new Date(Number(ts) * 1000);
const clock = (ts) => date(ts).toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
const dayName = (ts) => {
  const day = date(ts), today = new Date(), yesterday = new Date(Date.now() - 864e5);
  if (day.toDateString() === today.toDateString()) return "Today";
  if (day.toDateString() === yesterday.toDateString()) return "Yesterday";
  return day.toLocaleDateString([], { weekday: "long", month: "long", day: "numeric" });
};

function drawMessage(message, replies) {
  const time = element("time", "", clock(message.ts));
  time.title = date(message.ts).toLocaleString();
  const who = element("div", "who", element("b", "", "Imago"), element("span", "badge", "APP"), time);
  const body = element("div", "body");
  body.innerHTML = message.html;
  const right = element("div", "", who);
  if (replies && message.thread_ts) right.append(element("div", "replied", "replied to a thread and shared it here"));
  right.append(body);
  if (message.edited) body.append(element("span", "edited", "(edited)"));
  if (replies && replies.length) {
    const last = replies[replies.length - 1].ts;
    const footer = element("button", "footer", avatar(), element("b", "", replies.length === 1 ? "1 reply" : replies.length + " replies"),
      element("span", "", "Last reply " + dayName(last).toLowerCase() + " at " + clock(last)));
    footer.addEventListener("click", () => { state.thread = message.ts; draw(); });
    right.append(footer);
  }
  const drawn = element("div", "message", avatar(), right);
  drawn.dataset.ts = message.ts;
  return drawn;
}

function drawChannels() {
  byId("channels").replaceChildren(...state.channels.map((channel) => {
    const fresh = state.messages.filter((m) => m.channel === channel.id && (!m.thread_ts || m.broadcast) && Number(m.ts) > seen(channel.id)).length;
    const button = element("button", "", element("span", "", "#"), element("span", "", channel.name));
    if (fresh && channel.id !== state.channel) button.append(element("span", "count", String(fresh)));
    button.addEventListener("click", () => { state.channel = channel.id; state.thread = null; location.hash = channel.name; draw(true); });
    const item = element("li", channel.id === state.channel ? "active" : fresh ? "unread" : "", button);
    return item;
  }));
}

function draw(toEnd) {
  const pane = byId("messages");
  const wasAtEnd = toEnd || pane.scrollHeight - pane.scrollTop - pane.clientHeight < 80;
  const current = state.channels.find((c) => c.id === state.channel);
  const mine = state.messages.filter((m) => m.channel === state.channel);
  const roots = mine.filter((m) => !m.thread_ts || m.broadcast);
  const repliesOf = (ts) => mine.filter((m) => m.thread_ts === ts);
  byId("title").textContent = current ? "# " + current.name : "";
  byId("topic").textContent = current ? "What Imago found, one thread for each incident" : "";
  const parts = [];
  let day = "";
  for (const message of roots) {
    if (dayName(message.ts) !== day) { day = dayName(message.ts); parts.push(element("div", "day", element("span", "", day))); }
    parts.push(drawMessage(message, repliesOf(message.ts)));
  }
  if (!parts.length) parts.push(element("div", "empty", avatar(), element("b", "", "All quiet"), "No alert has been delivered here yet."));
  pane.replaceChildren(...parts);
  if (wasAtEnd) pane.scrollTop = pane.scrollHeight;
  if (current && roots.length) localStorage.setItem("seen:" + current.id, roots[roots.length - 1].ts);
  const head = mine.find((m) => m.ts === state.thread);
  byId("thread").hidden = !head;
  if (head) {
    const replies = repliesOf(head.ts);
    byId("thread-channel").textContent = "# " + current.name;
    byId("replies").replaceChildren(drawMessage(head), element("div", "divider", replies.length === 1 ? "1 reply" : replies.length + " replies"),
      ...replies.map((reply) => drawMessage(reply)));
  }
  drawChannels();
}

async function refresh() {
  try {
    const answer = await fetch("api-sandbox/state?version=" + state.version);
    const fresh = await answer.json();
    byId("connection").textContent = "live";
    if (fresh.version === state.version) return;
    Object.assign(state, { version: fresh.version, channels: fresh.channels, messages: fresh.messages });
    if (!state.channels.some((c) => c.id === state.channel)) {
      const named = state.channels.find((c) => "#" + c.name === location.hash);
      const last = state.messages[state.messages.length - 1];
      state.channel = (named || state.channels.find((c) => last && c.id === last.channel) || state.channels[0] || {}).id || null;
    }
    draw();
  } catch (problem) {
    byId("connection").textContent = "not connected, trying again";
  }
}

byId("close").addEventListener("click", () => { state.thread = null; draw(); });
refresh();
setInterval(refresh, 1500);
