// Keeps the console fresh without a reload. Everything works without this file too.
"use strict";

const HIDDEN_SLOWDOWN = 5; // a tab in the background asks five times less often

function atBottom(box) {
  return box.scrollHeight - box.scrollTop - box.clientHeight < 60;
}

function showWaiting() {
  const tabs = document.querySelector("[data-waiting]");
  if (!tabs) return;
  const plain = document.title.replace(/^\(\d+\) /, "");
  const waiting = Number(tabs.dataset.waiting);
  document.title = waiting > 0 ? `(${waiting}) ${plain}` : plain;
}

function somebodyIsTyping() {
  const written = [...document.querySelectorAll("form[data-guard] textarea, form[data-guard] input:not([type=hidden])")];
  return written.some((field) => field.value !== field.defaultValue) ||
    document.querySelector(".actions details[open]") !== null;
}

function noticeChange(before, after) {
  if (before === null || before === after) return;
  const bar = document.querySelector("[data-changed]");
  if (!bar) return;
  if (somebodyIsTyping()) bar.hidden = false;
  else window.location.assign(window.location.pathname);
}

function versionIn(box) {
  const marked = box.querySelector("[data-version]");
  return marked ? marked.dataset.version : null;
}

async function refresh(box, state) {
  const headers = state.etag ? { "If-None-Match": state.etag } : {};
  const answer = await fetch(box.dataset.live, { headers, credentials: "same-origin" });
  if (answer.status === 401) { window.location.assign("/console/login"); return; }
  if (answer.status !== 200) return;
  state.etag = answer.headers.get("ETag");
  const follow = "follow" in box.dataset && atBottom(box);
  const before = versionIn(box);
  box.innerHTML = await answer.text(); // made by this server, escaped there; CSP forbids scripts in it
  if (follow) box.scrollTop = box.scrollHeight;
  noticeChange(before, versionIn(box));
  showWaiting();
}

function keepFresh(box) {
  const state = { etag: null };
  const every = Number(box.dataset.every);
  const again = async () => {
    try { await refresh(box, state); } catch { /* the network is away; the next round tries again */ }
    window.setTimeout(again, document.hidden ? every * HIDDEN_SLOWDOWN : every);
  };
  window.setTimeout(again, "atOnce" in box.dataset ? 0 : every);
}

for (const box of document.querySelectorAll("[data-live]")) keepFresh(box);
for (const box of document.querySelectorAll("[data-follow]")) box.scrollTop = box.scrollHeight;
showWaiting();

document.addEventListener("keydown", (event) => {
  const form = event.target instanceof HTMLTextAreaElement ? event.target.form : null;
  if (form && event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
// A text of a runbook goes into the reply box; without this file the link loads the page with it.
document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a[data-fill]") : null;
  const box = document.getElementById("reply");
  if (!link || !box) return;
  const offer = document.querySelector(`a[data-fill="${CSS.escape(link.dataset.fill)}"][data-text]`);
  if (!offer) return;
  event.preventDefault();
  box.value = box.value.trim() ? `${box.value.trimEnd()}\n\n${offer.dataset.text}` : offer.dataset.text;
  let picked = box.form.querySelector("input[name=template]");
  if (!picked) {
    picked = Object.assign(document.createElement("input"), { type: "hidden", name: "template" });
    box.form.append(picked);
  }
  picked.value = link.dataset.fill;
  box.focus();
});
// One click is one request: the button waits for the answer's page.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) { event.preventDefault(); return; }
  if (form.method === "post") form.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});
