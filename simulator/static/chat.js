// The chat page: shows one customer's conversation and writes as that customer.
// Text is only ever set with textContent, so a message cannot become markup.
"use strict";

const api = "/simulator/api";
const byId = (id) => document.getElementById(id);
const chat = byId("chat");
const words = {
  image: "📷 Foto", video: "🎬 Vídeo", audio: "🎵 Áudio", voice: "🎤 Mensagem de voz",
  document: "📄 Documento", sticker: "Figurinha", location: "📍 Localização",
  contacts: "👤 Contato", order: "🛒 Pedido", unsupported: "Mensagem não compatível",
  interactive: "Resposta", reaction: "Reação", edit: "Mensagem editada", revoke: "Mensagem apagada",
};
const state = { customer: null, name: "", revision: 0, messages: new Map(), typing: false };
let generation = 0;

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined && text !== null) made.textContent = text;
  return made;
}

function showProblem(place, text) {
  place.textContent = text || "";
  place.hidden = !text;
}

async function call(path, body) {
  const options = body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  const response = await fetch(api + path, options);
  const answer = await response.json();
  if (!response.ok) throw new Error((answer.error && answer.error.message) || "Falha no simulador");
  return answer;
}

function time(moment) {
  return new Date(moment).toLocaleTimeString("pt-BR", { hour: "2-digit", minute: "2-digit" });
}

function day(moment) {
  return new Date(moment).toLocaleDateString("pt-BR", { day: "numeric", month: "long", year: "numeric" });
}

function ticks(message) {
  const mark = element("span", "ticks");
  // The customer's own messages have ticks; those of the business have none on a customer's phone.
  mark.textContent = message.status === "read" || message.status === "delivered" ? "✓✓" : "✓";
  if (message.status === "read") mark.classList.add("read");
  mark.title = message.status === "read" ? "lida" : "enviada";
  return mark;
}

function bubble(message) {
  const mine = message.direction === "in";
  const row = element("li", "row " + (mine ? "in" : "out"));
  const box = element("div", "bubble");
  if (message.header) box.append(element("p", "header", message.header));
  if (message.template) {
    box.append(element("p", "footer", "Modelo " + message.template.name));
  }
  if (mine && words[message.type] && message.type !== "interactive" && message.type !== "reaction") {
    box.append(element("span", "media", words[message.type] + (message.text ? "\n" : "")));
  }
  box.append(document.createTextNode(message.text || (mine && words[message.type] ? "" : "…")));
  if (message.footer) box.append(element("p", "footer", message.footer));
  const meta = element("span", "meta", time(message.timestamp));
  if (mine) meta.append(ticks(message));
  box.append(meta);
  row.append(box);
  if (message.status === "failed") {
    row.classList.add("failed");
    const reason = message.errors[0];
    box.append(element("p", "note", "Não entregue ao cliente" + (reason ? ": " + reason.code + " " + reason.title : "")));
    return row;
  }
  if (message.sections && message.sections.length) {
    const open = element("button", "option", "☰ " + message.list_button);
    open.type = "button";
    open.addEventListener("click", () => openList(message));
    row.append(open);
  } else {
    for (const option of message.buttons || []) {
      const button = element("button", "option", "↩ " + option.title);
      button.type = "button";
      button.addEventListener("click", () => choose(message, option));
      row.append(button);
    }
  }
  return row;
}

// An older message's button can still be tapped, as on a phone.
function choose(message, option) {
  write({ button: option.id, message_id: message.id });
}

function openList(message) {
  const body = byId("options-body");
  body.replaceChildren();
  byId("options-title").textContent = message.list_button;
  for (const section of message.sections) {
    if (section.title) body.append(element("h3", "", section.title));
    for (const row of section.rows) {
      const choice = element("button", "choice", row.title);
      choice.type = "button";
      if (row.description) choice.append(element("span", "", row.description));
      choice.addEventListener("click", () => {
        byId("options").close();
        choose(message, row);
      });
      body.append(choice);
    }
  }
  byId("options").showModal();
}

function draw() {
  const atEnd = chat.scrollHeight - chat.scrollTop - chat.clientHeight < 80;
  const rows = [];
  let last = "";
  for (const message of state.messages.values()) {
    const today = day(message.timestamp);
    if (today !== last) rows.push(element("li", "day", today));
    last = today;
    rows.push(bubble(message));
  }
  if (!rows.length) {
    const hint = state.customer ? "Escreva a primeira mensagem." : "Escolha um número para começar a conversa.";
    rows.push(element("li", "empty", hint));
  }
  if (state.typing) {
    const dots = element("li", "typing");
    dots.setAttribute("aria-label", "digitando");
    dots.append(element("i"), element("i"), element("i"));
    rows.push(dots);
  }
  chat.replaceChildren(...rows);
  byId("presence").textContent = state.typing ? "digitando…" : "conta comercial";
  if (atEnd) chat.scrollTop = chat.scrollHeight;
}

async function refresh(mine) {
  if (!state.customer) return;
  const query = new URLSearchParams({ customer: state.customer, after: String(state.revision) });
  const answer = await call("/chat?" + query);
  // The person may have changed while the answer was on its way.
  if (mine !== generation) return;
  const changed = answer.messages.length > 0 || answer.typing !== state.typing;
  for (const message of answer.messages) state.messages.set(message.id, message);
  state.revision = answer.revision;
  state.typing = answer.typing;
  if (changed) draw();
}

async function write(parts) {
  if (!state.customer) {
    byId("phone").focus();
    return;
  }
  try {
    const body = { ...parts, name: state.name || undefined };
    if (state.customer.startsWith("+")) body.from = state.customer;
    else body.user_id = state.customer;
    await call("/messages", body);
    showProblem(byId("problem"), "");
    chat.scrollTop = chat.scrollHeight;
    await refresh(generation);
    loadCustomers();
  } catch (error) {
    showProblem(byId("problem"), error.message);
  }
}

function open(customer, name) {
  generation += 1;
  Object.assign(state, { customer, name, revision: 0, messages: new Map(), typing: false });
  byId("who").textContent = "você é " + (name ? name + " · " : "") + customer;
  localStorage.setItem("ponte-simulator", JSON.stringify({ customer, name }));
  byId("phone").value = customer;
  byId("name").value = name;
  draw();
  chat.scrollTop = chat.scrollHeight;
  refresh(generation).catch(() => {});
  loadCustomers();
  byId("text").focus();
}

async function loadCustomers() {
  let people;
  try {
    people = await call("/customers");
  } catch {
    return;
  }
  byId("customers").replaceChildren(...people.slice(0, 100).map((person) => {
    const item = element("li");
    const button = element("button", "", person.name || person.address);
    button.type = "button";
    button.append(element("span", "", person.address + (person.window_open ? "" : " · janela de 24 h fechada")));
    button.setAttribute("aria-current", String(person.address === state.customer));
    button.addEventListener("click", () => open(person.address, person.name || ""));
    item.append(button);
    return item;
  }));
}

byId("person").addEventListener("submit", (event) => {
  event.preventDefault();
  const typed = byId("phone").value.trim();
  const digits = typed.replace(/\D/g, "");
  const isNumber = /^[+\d ().-]+$/.test(typed);
  if (isNumber && (digits.length < 8 || digits.length > 15)) {
    showProblem(byId("person-error"), "Informe o número com país e DDD, por exemplo +55 11 98765-4321.");
    return;
  }
  showProblem(byId("person-error"), "");
  open(isNumber ? "+" + digits : typed, byId("name").value.trim());
});

byId("compose").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = byId("text").value;
  if (!text.trim()) return;
  byId("text").value = "";
  write({ text });
});

for (const button of document.querySelectorAll("[data-kind]")) {
  button.addEventListener("click", () => write({ type: button.dataset.kind }));
}
byId("options-close").addEventListener("click", () => byId("options").close());

async function poll() {
  try {
    await refresh(generation);
  } catch {
    // The simulator may be restarting; the next round asks again.
  }
  setTimeout(poll, document.hidden ? 3000 : 700);
}

try {
  // /simulator?from=+5511987654321&name=Ana opens that conversation.
  const query = new URLSearchParams(location.search);
  const asked = (query.get("from") || "").replace(/\D/g, "");
  const saved = asked
    ? { customer: "+" + asked, name: query.get("name") || "" }
    : JSON.parse(localStorage.getItem("ponte-simulator") || "null");
  if (saved && saved.customer) open(saved.customer, saved.name || "");
  else draw();
} catch {
  draw();
}
loadCustomers();
poll();
