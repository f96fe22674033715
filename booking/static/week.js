// A week of free times in the page's own markup: its pieces stand in templates at the end of the field for times.
import { clockTime, dayName, dayOf, daysAfter, hourOf, ownTime, shortTime, zoneName } from "./clock.js";
import { part, write } from "./parts.js";

const daysShown = 7;
const mostShown = 12; // three rows on a phone; of more, the full and half hours first. times.py does the same.

const clone = (id) => document.getElementById(id).content.firstElementChild.cloneNode(true);

// Shows an answer of /api/v1/slots, with each start once; `view` is { zone, away, horizon, chosen, today }.
export function showWeek({ from, slots, next }, view) {
  const { zone, chosen, horizon, today } = view;
  const days = Array.from({ length: daysShown }, (_, number) => daysAfter(from, number));
  const first = slots[0]?.starts_at;
  const opened = slots.some((slot) => slot.starts_at === chosen) ? chosen : first;
  const [earlier, last, later] = [-daysShown, daysShown - 1, daysShown].map((count) => daysAfter(from, count));
  const isFirst = from <= today;
  part("days").replaceChildren(
    ...days.flatMap((day) => oneDay(day, slots.filter((slot) => dayOf(slot.starts_at) === day), dayOf(opened || "") === day, first, view)),
    part("nothing"),
    part("failed"),
  );
  wait(false);
  part("failed").hidden = true;
  const [begin, end] = [from, last].map((day) => dayName(day).split(", ")[1]);
  write("span", `${begin} to ${from.slice(0, 7) === last.slice(0, 7) ? end.split(" ")[1] : end}`);
  write("zone", zoneName(zone, from, last));
  write("next", first && shortTime(first, zone));
  part("next").previousSibling.textContent = isFirst ? "Next free: " : "First free: ";
  part("nothing").hidden = Boolean(first);
  part("none").hidden = Boolean(next);
  part("horizon").textContent = horizon;
  write("later-time", next && shortTime(next.starts_at, zone));
  Object.assign(part("later-start"), { value: next?.starts_at, disabled: !next, checked: false });
  turn("earlier", isFirst ? "" : earlier < today ? today : earlier);
  turn("later", later > daysAfter(today, horizon) ? "" : later);
}

// The same shape while the answer is awaited, so that nothing moves when it comes.
export function showLoading(from, view) {
  const blanks = Array.from({ length: 16 }, (_, number) => ({ starts_at: `${from}T${number < 8 ? "08" : "13"}:00` }));
  showWeek({ from, slots: blanks }, { ...view, away: false, waiting: true });
  wait(true);
}

// `text` says what stands in the way; without one a second try and the clinic's phone are offered.
export function showFailure(text) {
  wait(false);
  part("next").hidden = true;
  for (const tab of part("days").querySelectorAll("[name=day]")) Object.assign(tab, { checked: false, disabled: true });
  part("failed").hidden = false;
  write("refused", text);
  part("trouble").hidden = Boolean(text);
}

export function addOwnTime(radio, zone) {
  if (radio.value) radio.nextElementSibling.append(Object.assign(document.createElement("i"), { textContent: ownTime(radio.value, zone) }));
}

function wait(waiting) {
  part("days").inert = waiting;
  part("week").classList.toggle("loading", waiting);
}

const turn = (name, day) => Object.assign(part(name), { value: day, disabled: !day });

function oneDay(day, slots, checked, first, view) {
  const [tab, label, panel] = clone("a-day").children;
  const name = dayName(day);
  const count = view.waiting ? "…" : slots.length ? `${slots.length} free` : "none";
  Object.assign(tab, { id: `day-${day}`, checked, disabled: !slots.length });
  tab.setAttribute("aria-label", `${name}, ${count}`);
  label.htmlFor = tab.id;
  [name.slice(0, 3), Number(day.slice(8)), count].forEach((text, number) => (label.children[number].textContent = text));
  const isMorning = (slot) => hourOf(slot.starts_at) < 12;
  const halves = { Morning: slots.filter(isMorning), Afternoon: slots.filter((slot) => !isMorning(slot)) };
  if (slots.length) panel.append(...Object.entries(halves).map(([half, some]) => oneHalf(half, name, some, first, view)));
  return [tab, label, panel];
}

function oneHalf(name, day, slots, first, view) {
  const half = clone("a-part");
  const [title, nothing, starts] = half.children;
  half.setAttribute("aria-label", `${day}, ${name.toLowerCase()}`);
  title.textContent = name;
  nothing.hidden = slots.length > 0;
  const shown = slots.length > mostShown ? shownFirst(slots) : slots;
  starts.append(...slots.map((slot) => time(slot.starts_at, !shown.includes(slot), first, view)));
  if (shown.length < slots.length) starts.append(clone("more-times"));
  starts.querySelector(".more span")?.replaceChildren(`+${slots.length - shown.length} more`);
  return half;
}

function shownFirst(slots) {
  const onThe = (minutes) => slots.filter((slot) => minutes.includes(slot.starts_at.slice(14, 16)));
  const some = [onThe(["00", "30"]), onThe(["00"])].find(({ length }) => length && length < mostShown);
  return some || slots.slice(0, mostShown - 1);
}

function time(startsAt, spare, first, { zone, away, chosen }) {
  const piece = clone("a-time");
  const [radio, words] = piece.children;
  const [clock, ...rest] = clockTime(startsAt, zone).split(" ");
  Object.assign(radio, { value: startsAt, checked: startsAt === chosen, id: startsAt === first ? "at-first" : "" });
  words.firstChild.textContent = `${clock} `;
  words.lastElementChild.textContent = rest.join(" ");
  piece.classList.toggle("spare", spare);
  if (away) addOwnTime(radio, zone);
  return piece;
}
