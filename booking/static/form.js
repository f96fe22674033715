// Makes the form nicer where a script can run; without it, the same form works through the server alone.
import { part, write } from "./parts.js";

const form = document.getElementById("lead-form");
const summary = document.getElementById("error-summary");
const button = document.getElementById("send");
const failed = part("sentence").textContent;

// --- times: what shows them comes when the form is nearly in view, for who only reads needs none of it ---

let coming;
const chooser = () => (coming ||= import("./times.js").then((times) => times.chooser(form, () => wait(false))).catch(console.error));

new IntersectionObserver((seen, watch) => {
  if (!seen.some((each) => each.isIntersecting)) return;
  watch.disconnect();
  chooser();
}, { rootMargin: "200px" }).observe(form);

for (const link of document.querySelectorAll(".services a")) {
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    document.getElementById("appointment").scrollIntoView();
    document.getElementById("times").focus({ preventScroll: true });
    await chooser();
    form.querySelector(`[name=service][value="${new URL(link.href).searchParams.get("service")}"]`).click();
  });
}

// --- sending -------------------------------------------------------------------------------

const patience = 15000;

form.addEventListener("submit", async (event) => {
  const { submitter } = event;
  if (submitter?.hasAttribute("formaction")) return; // it asks the server for times
  event.preventDefault();
  if (button.disabled) return;
  wait(true);
  try {
    const times = await chooser();
    if (submitter?.name) times.instead({ starts_at: submitter.value }, false);
    wait(true);
    judge(await send(times), times);
  } catch {
    // Time-out, no network, or an answer that is none: it may have arrived, so no more is claimed.
    refuse({ detail: form.dataset.unsure });
  }
});

window.addEventListener("pageshow", () => {
  // After "back" the browser may show the page as it was left: waiting.
  wait(false);
  // Older browsers heed autofocus on controls only, not on what the server has to say.
  if (!summary.hidden && !("autofocus" in summary)) summary.focus();
});

async function send(times) {
  const data = new FormData(form);
  if (times) replace(data, { starts_at: times.chosen(), hold: await times.settled() });
  const control = new AbortController();
  const timer = setTimeout(() => control.abort(), patience);
  try {
    const response = await fetch(form.action, {
      method: "POST",
      headers: { Accept: "application/json" },
      body: new URLSearchParams(data),
      signal: control.signal,
    });
    // A server in between may drop the Accept header: then the answer is the thank-you page itself.
    const landed = response.ok && response.redirected ? response.url : "";
    return { status: response.status, ok: response.ok, landed, body: landed ? {} : await response.json() };
  } finally {
    clearTimeout(timer);
  }
}

// A chosen time may stand in another week than the one that is shown.
function replace(data, values) {
  for (const [name, value] of Object.entries(values)) {
    data.delete(name);
    if (value) data.set(name, value);
  }
}

function judge({ status, ok, landed, body }, times) {
  if (landed) return window.location.assign(landed);
  if (ok && body.reference) return leaveFor(body);
  if (body.errors?.starts_at || body.errors?.hold) offer(body.alternatives, times);
  if (status === 503) return refuse({ ...body, detail: form.dataset.away });
  if (status >= 400 && status < 500) return refuse(body);
  return refuse({ detail: form.dataset.unsure });
}

// What the success page is told in its address: the same as by `said_after` in representations.py.
function leaveFor({ reference, suggestions, appointment, advice }) {
  const target = new URL(`received/${encodeURIComponent(reference)}`, form.action);
  const tell = (name, value) => target.searchParams.set(name, value);
  if (suggestions?.email) tell("check", "email");
  if (appointment) tell("visit", appointment.manage_url.split("/").pop());
  else if (isChosen()) tell("time", "open");
  if (advice) tell("advice", form.querySelector("[data-level=emergency]:checked") ? "emergency" : "urgent");
  window.location.assign(target);
}

const isChosen = () => Boolean(document.querySelector(".has-time"));

function wait(waiting) {
  const { wait: patient, book, request } = button.dataset;
  button.disabled = waiting;
  button.textContent = waiting ? patient : isChosen() ? book : request;
  part("progress").textContent = waiting ? patient : "";
}

// Each of the nearest times stands in the summary, one tap away from being booked.
function offer(alternatives = [], times) {
  const book = (slot) => () => {
    times.instead(slot, false);
    form.requestSubmit(button);
  };
  times?.lose(alternatives);
  if (times) part("instead").replaceChildren(...alternatives.map((slot) => times.button(slot, book(slot))));
}

// --- saying what went wrong, in the places the server uses -----------------------------------

function refuse({ title, detail, errors = {}, reference, alternatives }) {
  wait(false);
  const fields = [...form.querySelectorAll("[data-field]")];
  for (const field of fields) mark(field, errors[field.dataset.field]);
  const lines = [
    ...otherThan(fields, errors).map((text) => line(text)),
    ...fields.flatMap((field) => (errors[field.dataset.field] || []).map((text) => line(text, field))),
  ];
  part("sentence").textContent = title || failed;
  write("detail", lines.length ? "" : detail);
  part("errors").replaceChildren(...lines);
  part("errors").hidden = !lines.length;
  part("alternatives").hidden = !alternatives?.length;
  part("reference").textContent = reference;
  part("attempt").hidden = !reference;
  summary.hidden = false;
  summary.focus();
}

function mark(field, texts = []) {
  const place = document.getElementById(`${field.dataset.field}-error`);
  if (!place) return;
  place.textContent = texts.join(" ");
  place.hidden = !texts.length;
  if (field.matches("fieldset")) return;
  const control = controlOf(field);
  if (texts.length) control.setAttribute("aria-invalid", "true");
  else control.removeAttribute("aria-invalid");
}

function otherThan(fields, errors) {
  const own = fields.map((field) => field.dataset.field);
  return Object.keys(errors).filter((name) => !own.includes(name)).flatMap((name) => errors[name]);
}

function line(text, field) {
  const item = document.createElement("li");
  if (!field) {
    item.textContent = text;
    return item;
  }
  const link = document.createElement("a");
  const label = field.dataset.label || field.querySelector("label, legend").firstChild.textContent.trim();
  link.href = `#${field.id || controlOf(field).id}`;
  link.textContent = `${label}: ${text}`.replace("?:", "?");
  item.append(link);
  return item;
}

function controlOf(field) {
  return field.querySelector("input[id], select, textarea");
}

// --- "Did you mean ...?" -----------------------------------------------------------------------

const email = document.getElementById("email");
const hint = document.getElementById("email-hint");
const usualHint = hint.textContent;
const domains = form.dataset.suggestDomains.split(" ").filter(Boolean);
hint.setAttribute("aria-live", "polite");

email.addEventListener("blur", () => {
  const at = email.value.lastIndexOf("@");
  const typed = email.value.slice(at + 1).trim().toLowerCase();
  const meant = at > 0 && !domains.includes(typed) && domains.find((domain) => oneSlip(typed, domain));
  if (meant) suggest(email.value.slice(0, at + 1).trim() + meant);
  else hint.textContent = usualHint;
});

function suggest(address) {
  const apply = document.createElement("button");
  apply.type = "button";
  apply.className = "apply";
  apply.textContent = address;
  apply.addEventListener("click", () => {
    email.value = address;
    hint.textContent = usualHint;
    email.focus();
  });
  hint.replaceChildren("Did you mean ", apply, "?");
}

// One letter other, too many, missing, or two swapped.
function oneSlip(typed, domain) {
  let same = 0;
  while (same < typed.length && typed[same] === domain[same]) same += 1;
  const [a, b] = [typed.slice(same), domain.slice(same)];
  return (
    a.slice(1) === b.slice(1) ||
    a.slice(1) === b ||
    a === b.slice(1) ||
    (a[0] === b[1] && a[1] === b[0] && a.slice(2) === b.slice(2))
  );
}
