// Lets a visitor choose a time: asks what is free, shows it, and keeps the chosen one in view.
import { dayOf, daysAfter, elsewhere, longTime, ownTimeInWords, ownZone, shortTime, todayIn, zoneAt } from "./clock.js";
import { holds } from "./hold.js";
import { part, write } from "./parts.js";
import { addOwnTime, showFailure, showLoading, showWeek } from "./week.js";

const patience = 10000;
const freshFor = 60000;
const asking = ["service", "practitioner", "location", "new_patient"];

// `changed()` is told that another time, or none, is chosen now.
export function chooser(form, changed) {
  const field = document.getElementById("times");
  const box = document.getElementById("chosen");
  const keeping = holds(field.dataset.holds, { say, taken: lose });
  const answers = new Map();
  let zone = field.dataset.zone;
  const away = elsewhere(zone);
  let today = todayIn(zone);
  let asked = null;
  let pointed = 0;

  const picked = (name) => form.querySelector(`[name=${name}]:checked`);
  const named = (name) => picked(name)?.value || "";
  const wanted = () => Object.fromEntries(asking.map((name) => [name, named(name)]));
  const service = () => picked("service").parentElement.dataset;
  const radioOf = (startsAt) => field.querySelector(`[name=starts_at][value="${startsAt}"]`);
  const view = () => ({ zone, away, today, chosen, horizon: Number(service().horizon) });
  let chosen = named("starts_at");

  // --- what is free ---------------------------------------------------------------------------

  function question(from) {
    if (!named("service") || !service().horizon || "byPhone" in service()) return null;
    const parameters = { ...wanted(), from };
    if (!service().audience) delete parameters.new_patient;
    return new URLSearchParams(Object.entries(parameters).filter(([, value]) => value));
  }

  async function load(from = "", quietly = false) {
    asked?.abort();
    asked = null;
    const query = question(from);
    part("week").hidden = !query;
    part("note").hidden = Boolean(query);
    if (!query) return announce("");
    const key = query.toString();
    const kept = answers.get(key);
    if (kept && Date.now() - kept.at < freshFor) return show(kept.found);
    if (!quietly) showLoading(from || today, view());
    if (keeping.token()) query.set("hold", keeping.token());
    const mine = (asked = new AbortController());
    const timer = setTimeout(() => mine.abort(), patience);
    try {
      const response = await fetch(`${field.dataset.slots}?${query}`, { signal: mine.signal });
      const found = await response.json();
      if (mine !== asked) return;
      if (!response.ok) return fail(from, Object.values(found.errors || {}).flat().join(" "));
      found.slots = found.slots.filter((slot, number, all) => slot.starts_at !== all[number - 1]?.starts_at);
      answers.set(key, { at: Date.now(), found });
      if (!from) today = found.from;
      show(found);
    } catch {
      if (mine === asked) fail(from);
    } finally {
      clearTimeout(timer);
    }
  }

  function show(found) {
    const hadFocus = field.contains(document.activeElement) && document.activeElement;
    zone = found.timezone;
    showWeek(found, view());
    if (hadFocus && (hadFocus.disabled || !hadFocus.isConnected)) field.focus();
    announce(found.slots.length ? `${found.slots.length} free, ${part("span").textContent}` : part("nothing").innerText);
  }

  function fail(from, text) {
    showFailure(text);
    part("retry").onclick = () => load(from);
    announce(part("failed").innerText);
  }

  const announce = (text) => (part("announcement").textContent = text);

  // --- what is chosen -------------------------------------------------------------------------

  function choose(startsAt, hold = true) {
    chosen = startsAt;
    part("kept")?.remove();
    part("nearest").replaceChildren();
    box.classList.toggle("has-time", Boolean(chosen));
    part("change").hidden = !chosen;
    write("when", chosen ? longTime(chosen, zone) : "No time chosen yet");
    write("who", chosen ? withWhom(named("practitioner")) : "That is fine: we call or write to agree on one.");
    write("own", chosen && away && ownTimeInWords(chosen, zone));
    say(chosen && "It is yours once you send this form.");
    if (chosen && hold) keeping.place({ ...wanted(), starts_at: chosen });
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
    if (practitioner) write("who", withWhom(practitioner));
  }

  // Somebody else was quicker, and may have been with other times too, or it is too soon now.
  function lose(alternatives = []) {
    const lost = chosen;
    const radio = radioOf(lost);
    answers.clear();
    choose("");
    if (radio) Object.assign(radio, { checked: false, disabled: true });
    if (!lost) return;
    write("when", `No longer free: ${shortTime(lost, zone)}`);
    write("who", alternatives.length ? "These are the nearest free times:" : "Please choose another time.");
    part("nearest").replaceChildren(...alternatives.map((slot) => button(slot, () => {
      instead(slot);
      load(dayOf(slot.starts_at) < daysAfter(today, 7) ? "" : dayOf(slot.starts_at));
      part("change").focus();
    })));
    announce(`${part("when").textContent}. ${part("who").textContent}`);
  }

  // A time in place of one that was taken; who named somebody is told where it is with somebody else.
  function button(slot, press) {
    const item = part("alternative").content.cloneNode(true);
    const other = named("practitioner") && named("practitioner") !== slot.practitioner;
    item.querySelector("button").textContent = `${shortTime(slot.starts_at, zone)}${other ? ` ${withWhom(slot.practitioner)}` : ""}`;
    item.querySelector("button").onclick = press;
    return item;
  }

  function instead({ starts_at: startsAt, practitioner }, hold = true) {
    const other = form.querySelector(`[name=practitioner][value="${practitioner}"]`);
    if (other && named("practitioner")) other.checked = true;
    choose(startsAt, hold);
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
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (first.getBoundingClientRect().top > innerHeight / 2) first.scrollIntoView({ behavior: calm ? "auto" : "smooth" });
  }

  for (const name of ["earlier", "later"]) {
    part(name).addEventListener("click", (event) => {
      event.preventDefault();
      load(part(name).value);
    });
  }
  part("keep").addEventListener("click", () => {
    part("keep").hidden = true;
    keeping.extend();
  });

  // --- as the page was left, or as the server has filled it ---------------------------------------

  // Hidden where nothing moves for it.
  part("show").style.visibility = "hidden";
  part("again").hidden = part("week").hidden;
  part("again").style.visibility = "hidden";
  part("week").classList.toggle("away", away);
  write("own-zone", away && ` Below each is yours, ${zoneAt(ownZone, new Date(), "longGeneric")}.`);
  if (away) field.querySelectorAll(".days [name=starts_at]").forEach((radio) => addOwnTime(radio, zone));
  if (part("week").hidden && named("service")) {
    offerPeople();
    load();
  }

  return {
    chosen: () => chosen,
    settled: keeping.settled,
    button,
    instead,
    lose(alternatives) {
      lose(alternatives);
      load("", true);
    },
  };
}
