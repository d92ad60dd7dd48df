// The page's behaviour: it inserts HTML fragments from the server, and sends the user's actions. Fragments are
// escaped by the server; text created here is set as text.
"use strict";

const byId = (id) => document.getElementById(id);
document.documentElement.classList.add("scripted");

// --- Page fragments ----------------------------------------------------------------------------

// The HTML from which an element was created, so that later changes by the script (times) do not count as differences.
const sources = new WeakMap();
for (const element of document.querySelectorAll("#keys > *, #requests > *, #faults > *")) {
  sources.set(element, element.outerHTML);
}

// Puts new content into an element. Unchanged children with an id stay in place, so that focus, selection and open
// details survive.
function put(target, html, mark) {
  const template = document.createElement("template");
  template.innerHTML = html;
  if (!template.content.firstElementChild?.id) {
    target.replaceChildren(template.content);
    return;
  }
  const focus = focusIn(target);
  const old = new Map([...target.children].map((child) => [child.id, child]));
  let place = target.firstElementChild;
  for (const fresh of [...template.content.children]) {
    const known = old.get(fresh.id);
    old.delete(fresh.id);
    if (known && (sources.get(known) ?? known.outerHTML) === fresh.outerHTML) {
      if (known === place) place = place.nextElementSibling;
      else target.insertBefore(known, place);
      continue;
    }
    sources.set(fresh, fresh.outerHTML);
    if (known?.tagName === "DETAILS") fresh.open = known.open;
    if (known) {
      if (known === place) place = place.nextElementSibling;
      known.remove();
    } else if (mark) {
      fresh.classList.add("arrived");
    }
    target.insertBefore(fresh, place);
  }
  for (const gone of old.values()) gone.remove();
  if (focus && !target.contains(document.activeElement)) focus();
}

// Returns a function that restores the focus after the focused element has been replaced.
function focusIn(target) {
  const active = document.activeElement;
  if (!active || !target.contains(active)) return null;
  const row = active.closest("[id]")?.id;
  const action = active.dataset.action;
  return () => {
    const again = row && byId(row)?.querySelector(action ? `[data-action="${action}"]` : "button, summary");
    (again || byId("keys-title")).focus();
  };
}

// --- Time --------------------------------------------------------------------------------------

// The emulator's clock minus the browser's.
let ahead = Date.parse(byId("clock-now").dateTime) - Date.now();
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const pad = (number, digits) => String(number).padStart(digits, "0");

function ago(date) {
  const seconds = Math.round((date - Date.now() - ahead) / 1000);
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  }
  return seconds > -5 ? "just now" : relative.format(seconds, "second");
}

function timeOfDay(date) {
  const parts = [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => pad(part, 2));
  return `${parts.join(":")}.${pad(date.getMilliseconds(), 3)}`;
}

function showTimes() {
  for (const element of document.querySelectorAll("time[data-show]")) {
    const date = new Date(element.dateTime);
    const text = element.dataset.show === "ago" ? ago(date) : timeOfDay(date);
    if (element.textContent !== text) element.textContent = text;
    element.title ||= date.toLocaleString();
  }
}

function showClock() {
  const now = new Date(Date.now() + ahead);
  const day = [now.getFullYear(), pad(now.getMonth() + 1, 2), pad(now.getDate(), 2)].join("-");
  byId("clock-now").textContent = `${day} ${timeOfDay(now).slice(0, 8)}`;
}

setInterval(() => {
  showClock();
  showTimes();
}, 1000);

// --- From the server ---------------------------------------------------------------------------

let paused = false;
let waiting = null;
let first = true;
let unannounced = 0;
let announcing = 0;

function show(event) {
  const { now, parts } = JSON.parse(event.data);
  ahead = now - Date.now();
  for (const [id, html] of Object.entries(parts)) {
    if (id === "requests") showRequests(html);
    else put(byId(id), html, false);
  }
  first = false;
  showClock();
  showTimes();
}

function showRequests(html) {
  if (paused) {
    waiting = html;
    return;
  }
  const rows = byId("requests");
  const newest = () => Number(rows.querySelector("tr")?.id.match(/\d+$/)?.[0] ?? 0);
  const before = newest();
  put(rows, html, !first);
  const arrived = newest() - before;
  if (!first && arrived > 0) announce(arrived);
}

// Announces new requests to screen readers, several at a time.
function announce(count) {
  unannounced += count;
  announcing ||= setTimeout(() => {
    byId("arrivals").textContent = unannounced === 1 ? "1 new request" : `${unannounced} new requests`;
    unannounced = announcing = 0;
  }, 5000);
}

function connection(text, name) {
  const line = byId("connection");
  if (line.textContent !== text) line.textContent = text;
  line.className = `connection ${name}`;
}

function listen() {
  const stream = new EventSource("/_emulator/live");
  stream.onopen = () => {
    first = true;
    connection("Live", "live");
  };
  stream.onmessage = show;
  stream.onerror = () => {
    connection("Connection lost, reconnecting", "lost");
    // After some errors the browser gives up permanently; reconnect anyway.
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
  };
}

// --- To the server -----------------------------------------------------------------------------

async function send(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  const sent = { method, headers, body: body === undefined ? undefined : JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(path, sent);
  } catch {
    throw new Error("The emulator does not respond. Is it still running?");
  }
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(sentence(told.message ?? told.error ?? `Status ${answer.status}`));
  return told;
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;

let clearing = 0;
function toast(text) {
  const line = byId("toast");
  // Content outside an open dialog is inert and not announced.
  const stage = document.querySelector("dialog[open]") ?? document.body;
  if (line.parentElement !== stage) stage.append(line);
  line.textContent = "";
  clearTimeout(clearing);
  // After a short delay, so that screen readers notice the change.
  clearing = setTimeout(() => {
    line.textContent = text;
    clearing = setTimeout(() => line.replaceChildren(), 4000 + 40 * text.length);
  }, 50);
}

// Runs an action, ignoring further clicks meanwhile. (A disabled button would lose the focus.) Errors are shown in
// `place`, or else in the toast.
async function busy(button, work, place) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    if (place) place.textContent = error.message;
    else toast(error.message);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

// --- Keys --------------------------------------------------------------------------------------

function openCreate() {
  opener = null;
  byId("create-form").reset();
  byId("create-error").textContent = "";
  byId("create").showModal();
  byId("key-name").focus();
}

function create(event) {
  event.preventDefault();
  const form = new FormData(byId("create-form"));
  const scopes = [...form.getAll("scope"), ...form.get("other").split(/\s+/).filter(Boolean)];
  const key = { name: form.get("name"), description: form.get("description"), scopes };
  byId("create-error").textContent = "";
  busy(event.submitter ?? byId("create-form").querySelector("[type=submit]"), async () => {
    const made = await send("POST", "/api-keys", key);
    byId("create").close();
    showSecret(made);
  }, byId("create-error"));
}

// The control that opened a dialog: its row may have been replaced when the dialog closes.
let opener = null;
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("close", () => setTimeout(() => {
    if (document.querySelector("dialog[open]") || document.activeElement !== document.body) return;
    const again = [...document.querySelectorAll("[data-action]")].find((button) =>
      button.dataset.action === opener?.action && button.dataset.id === opener?.id);
    (again ?? byId("keys-title")).focus();
  }));
}

function ask({ action, id, name }) {
  opener = { action, id };
  const dialog = byId("confirm");
  const yes = byId("confirm-yes");
  byId("confirm-title").textContent = action === "rotate" ? `Rotate the secret of ${name}?` : `Revoke ${name}?`;
  byId("confirm-text").textContent = dialog.dataset[action];
  byId("confirm-error").textContent = "";
  yes.textContent = action === "rotate" ? "Rotate" : "Revoke";
  yes.className = action === "rotate" ? "primary" : "destructive";
  const path = `/api-keys/${encodeURIComponent(id)}`;
  yes.onclick = () => busy(yes, async () => {
    if (action === "rotate") {
      const rotated = await send("POST", `${path}/rotate`, {});
      dialog.close();
      showSecret(rotated);
    } else {
      await send("DELETE", path);
      dialog.close();
      toast(`${name} is revoked.`);
    }
  }, byId("confirm-error"));
  dialog.showModal();
}

// Quotes a value as one word for a POSIX shell.
const quoted = (value) =>
  /^[\w.:\/-]+$/.test(value) ? value : `'${value.replaceAll("'", String.raw`'\''`)}'`;

function showSecret(key) {
  const lines = {
    TRACKUNIT_CLIENT_ID: key.client_id,
    TRACKUNIT_CLIENT_SECRET: key.client_secret,
    TRACKUNIT_SCOPE: key.scopes.includes("asset.view") ? "asset.view" : key.scopes[0],
    TRACKUNIT_TOKEN_URL: byId("token-url").textContent,
    IRIS_URL: location.origin,
  };
  const exports = Object.entries(lines).map(([name, value]) => `export ${name}=${quoted(value)}`);
  byId("secret-title").textContent = `Save the client secret of ${key.name}`;
  byId("client-secret").value = key.client_secret;
  byId("exports").textContent = `${exports.join("\n")}\n`;
  byId("secret").showModal();
}

// Remove the secret from the page once the dialog is closed.
byId("secret").addEventListener("close", () => {
  byId("client-secret").value = "";
  byId("exports").textContent = "";
});
// Escape is too easily pressed for something that is shown only once.
// Browsers allow `cancel` to be prevented only once: a second Escape would close the dialog. So the key is blocked too.
byId("secret").addEventListener("cancel", (event) => event.preventDefault());
byId("secret").addEventListener("keydown", (event) => {
  if (event.key === "Escape") event.preventDefault();
});

async function copy(text, from) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.");
  } catch {
    // Browsers may refuse on hosts other than localhost; then at least select the text.
    if (from) getSelection().selectAllChildren(from);
    from?.select?.();
    toast("The browser does not allow copying: press Ctrl+C.");
  }
}

// --- Clicks ------------------------------------------------------------------------------------

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { action, advance, fault, copy: text, copyFrom } = button.dataset;
  const source = copyFrom && byId(copyFrom);
  if (action) ask(button.dataset);
  else if (text) copy(text, button.previousElementSibling);
  else if (source) copy(source.value ?? source.textContent, source);
  else if ("close" in button.dataset) button.closest("dialog").close();
  else if (advance) busy(button, () => turn(advance));
  else if (fault) busy(button, () => addFault(button.textContent, fault));
});

async function turn(advance) {
  const clock = await send("POST", "/_emulator/clock", { advance });
  toast(`The clock is ${clock.offset} ahead.`);
}

async function addFault(label, fault) {
  await send("POST", "/_emulator/faults", JSON.parse(fault));
  toast(`Fault for the next token request: ${label}.`);
}

byId("new-key").addEventListener("click", openCreate);
byId("create-form").addEventListener("submit", create);
byId("clear-faults").addEventListener("click", (event) => busy(event.currentTarget, async () => {
  await send("DELETE", "/_emulator/faults");
  toast("Faults cleared.");
}));
byId("clear-requests").addEventListener("click", (event) => busy(event.currentTarget, async () => {
  await send("DELETE", "/_emulator/journal");
  toast("Journal cleared.");
}));
byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  if (!paused && waiting !== null) {
    showRequests(waiting);
    waiting = null;
  }
});

showClock();
showTimes();
listen();
