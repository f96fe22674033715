// Lets a visitor choose a time: asks what is free, shows it, and keeps the chosen one in view.
import { dayAndTime, dayOf, daysAfter, elsewhere, ownTimeInWords, ownZone, shortTime, today as todayIn, zoneName } from "./clock.js";
import { holds } from "./hold.js";
import { addOwnTime, showFailure, showLoading, showWeek } from "./week.js";

const patience = 10000;
const freshFor = 60000;
const asking = ["service", "practitioner", "location", "new_patient"];

// `changed()` is told that another time, or none, is chosen now.
export function chooser(form, changed) {
  const field = document.getElementById("times");
  const box = document.getElementById("chosen");
  const part = (name) => field.querySelector(`[data-part=${name}]`) || box.querySelector(`[data-part=${name}]`);
  const week = part("week");
  const zone = field.dataset.zone;
  const away = elsewhere(zone);
  const answers = new Map();
  const keeping = holds(field.dataset.holds, { say, taken: (alternatives) => lose(alternatives) });
  let chosen = form.querySelector("[name=starts_at]:checked")?.value || "";
  let today = todayIn(zone);
  let asked = null;
  let pointed = 0;

  const picked = (name) => form.querySelector(`[name=${name}]:checked`);
  const named = (name) => picked(name)?.value || "";
  const radioOf = (startsAt) => field.querySelector(`[name=starts_at][value="${startsAt}"]`);
  const service = () => picked("service").parentElement.dataset;

  // --- what is free ---------------------------------------------------------------------------

  function question(from) {
    if (!named("service") || !service().horizon || "byPhone" in service()) return null;
    const wanted = Object.fromEntries(asking.map((name) => [name, named(name)]));
    if (service().audience === "anyone") delete wanted.new_patient;
    return new URLSearchParams(Object.entries({ ...wanted, from }).filter(([, value]) => value));
  }

  async function load(from = "", { quietly = false } = {}) {
    asked?.abort();
    const query = question(from);
    week.hidden = !query;
    part("note").hidden = Boolean(query);
    if (!query) return note();
    const key = query.toString();
    const kept = answers.get(key);
    if (kept && Date.now() - kept.at < freshFor) return show(kept.found);
    if (!quietly) showLoading(week, from || today);
    const mine = (asked = new AbortController());
    const timer = setTimeout(() => mine.abort(), patience);
    try {
      if (keeping.token()) query.set("hold", keeping.token());
      const response = await fetch(`${field.dataset.slots}?${query}`, { signal: mine.signal });
      const found = await response.json();
      if (mine !== asked) return;
      if (!response.ok) return fail(from, Object.values(found.errors || {}).flat().join(" "));
      found.slots = found.slots.filter((slot, number, all) => slot.starts_at !== all[number - 1]?.starts_at);
      if (!from) today = found.from;
      answers.set(key, { at: Date.now(), found });
      show(found);
    } catch {
      if (mine === asked) fail(from);
    } finally {
      clearTimeout(timer);
    }
  }

  function show(found) {
    const hadFocus = part("days").contains(document.activeElement);
    showWeek(week, found, { zone: found.timezone, away, horizon: Number(service().horizon), chosen, today });
    if (away) part("own-zone").textContent = ` Below each is yours, ${zoneName(ownZone, found.from, found.from)}.`;
    if (hadFocus) week.querySelector("[name=day]:checked")?.focus();
    const count = found.slots.length;
    announce(count ? `${count} free, ${part("span").textContent}` : week.querySelector(".nothing-free").innerText);
  }

  function fail(from, text) {
    showFailure(week, text);
    part("retry")?.addEventListener("click", () => load(from));
    announce(week.querySelector(".nothing-free").innerText);
  }

  function note() {
    const byPhone = "byPhone" in service();
    part("invite").hidden = byPhone;
    part("by-phone").hidden = !byPhone;
    part("service-name").textContent = picked("service").nextElementSibling.firstChild.textContent;
    announce(byPhone ? part("by-phone").textContent : "");
  }

  function announce(text) {
    part("announcement").textContent = text;
  }

  // --- what is chosen -------------------------------------------------------------------------

  function choose(startsAt, { hold = true } = {}) {
    chosen = startsAt;
    part("kept")?.remove();
    part("nearest").hidden = true;
    box.classList.toggle("has-time", Boolean(chosen));
    part("change").hidden = !chosen;
    part("own").hidden = !(chosen && away);
    part("when").textContent = chosen ? dayAndTime(chosen, zone) : "No time chosen yet";
    part("who").textContent = chosen ? withWhom(named("practitioner")) : "That is fine: we call or write to agree on one.";
    part("own").textContent = chosen && ownTimeInWords(chosen, zone);
    say(chosen && "It is yours once you send this form.");
    if (chosen && hold) keeping.place({ ...Object.fromEntries(asking.map((name) => [name, named(name)])), starts_at: chosen });
    else keeping.release();
    changed();
  }

  function withWhom(slug) {
    const able = [...form.querySelectorAll("[data-services]:not([hidden]) > input")];
    const one = able.find((person) => person.value === slug) || (able.length === 1 && able[0]);
    return one ? `with ${one.nextElementSibling.firstChild.textContent.trim()}` : "with the first available of us";
  }

  function say(text, canBeKept = false, practitioner = "") {
    part("held").textContent = text;
    part("keep").hidden = !canBeKept;
    if (practitioner) part("who").textContent = withWhom(practitioner);
  }

  // Somebody else was quicker, and may have been with other times too.
  function lose(alternatives = []) {
    const lost = chosen;
    const radio = radioOf(lost);
    const hadFocus = radio && document.activeElement === radio;
    answers.clear();
    choose("");
    if (radio) Object.assign(radio, { checked: false, disabled: true });
    if (!lost) return;
    part("when").textContent = `Just taken: ${shortTime(lost, zone)}`;
    part("who").textContent = alternatives.length ? "These are the nearest free times:" : "Please choose another time.";
    part("nearest").replaceChildren(...alternatives.map(nearest));
    part("nearest").hidden = !alternatives.length;
    announce(`${part("when").textContent}. ${part("who").textContent}`);
    if (hadFocus) part("nearest").querySelector("button")?.focus();
  }

  function nearest(slot) {
    const item = document.createElement("li");
    const button = Object.assign(document.createElement("button"), { type: "button", className: "button quiet", textContent: words(slot) });
    button.addEventListener("click", () => {
      turnTo(slot);
      choose(slot.starts_at);
      const day = dayOf(slot.starts_at);
      load(day < daysAfter(today, 7) ? "" : day);
      part("change").focus();
    });
    item.append(button);
    return item;
  }

  // Only where somebody was named it matters that an alternative is with somebody else.
  const isOther = ({ practitioner }) => named("practitioner") && named("practitioner") !== practitioner;
  const words = (slot) => `${shortTime(slot.starts_at, zone)}${isOther(slot) ? ` ${withWhom(slot.practitioner)}` : ""}`;

  function turnTo(slot) {
    const other = form.querySelector(`[name=practitioner][value="${slot.practitioner}"]`);
    if (other && isOther(slot)) other.checked = true;
  }

  // --- what a visitor does ----------------------------------------------------------------------

  form.addEventListener("pointerup", () => (pointed = Date.now()));

  form.addEventListener("change", ({ target }) => {
    if (target.name === "starts_at") return choose(target.value);
    if (!asking.includes(target.name)) return;
    if (target.name === "service") offerPeople();
    if (target.name !== "new_patient" && chosen) choose("");
    load();
    // A finger that chose a service finds the times under it; who uses the keys is left where they are.
    if (target.name === "service" && Date.now() - pointed < 1000) reveal();
  });

  function offerPeople() {
    const group = form.querySelector("[data-field=practitioner]");
    const people = [...group.querySelectorAll("[data-services]")];
    for (const person of people) person.hidden = !person.dataset.services.split(" ").includes(named("service"));
    group.hidden = people.filter((person) => !person.hidden).length < 2;
    form.querySelectorAll("[type=hidden][name=practitioner], label:has(> #practitioner-odd)").forEach((odd) => odd.remove());
    if (!picked("practitioner") || picked("practitioner").parentElement.hidden) form.querySelector("#practitioner-any").checked = true;
  }

  function reveal() {
    const first = [form.querySelector("[data-field=practitioner]"), field].find((place) => !place.hidden);
    const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (first.getBoundingClientRect().top > window.innerHeight / 2) first.scrollIntoView({ behavior: calm ? "auto" : "smooth" });
  }

  for (const name of ["earlier", "later"]) {
    part(name).addEventListener("click", (event) => {
      event.preventDefault();
      load(event.currentTarget.value);
    });
  }
  part("keep").addEventListener("click", () => {
    part("keep").hidden = true;
    keeping.extend();
  });
  part("change").addEventListener("click", () => {
    const day = radioOf(chosen)?.closest(".panel").previousElementSibling;
    if (day) day.previousElementSibling.checked = true;
  });
  for (const link of document.querySelectorAll(".services a")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const slug = new URL(link.href).searchParams.get("service");
      form.querySelector(`[name=service][value="${slug}"]`).click();
      document.getElementById("appointment").scrollIntoView();
      field.focus({ preventScroll: true });
    });
  }

  // --- as the page was left, or as the server has filled it ---------------------------------------

  for (const name of ["show", "again"]) part(name).hidden = part(name).disabled = true;
  if (away) {
    field.classList.add("away");
    for (const radio of week.querySelectorAll(".time [name=starts_at]")) addOwnTime(radio, zone);
  }
  window.addEventListener("pageshow", () => {
    if (!week.hidden || !named("service")) return;
    offerPeople();
    load();
  });

  return {
    chosen: () => chosen,
    choose,
    turnTo,
    isOther,
    words,
    settled: keeping.settled,
    lose(alternatives) {
      lose(alternatives);
      load("", { quietly: true });
    },
  };
}
