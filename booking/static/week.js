// A week of free times in the page's own markup: its pieces stand in templates at the end of the field for times.
import { clockTime, dayName, dayOf, daysAfter, hourOf, minuteOf, ownTime, shortTime, span, zonesOf } from "./clock.js";
import { part, write } from "./parts.js";

const daysShown = 7;
const mostShown = 12; // three rows on a phone; of more, the full and half hours first. times.py does the same.

const clone = (id) => document.getElementById(id).content.firstElementChild.cloneNode(true);

// Shows an answer of /api/v1/slots, with each start once; `view` is { zone, away, horizon, chosen, today }.
export function showWeek({ from, slots, next }, view) {
  const { zone, chosen, horizon, today } = view;
  const days = Array.from({ length: daysShown }, (_, number) => daysAfter(from, number));
  const [first, last] = [slots[0]?.starts_at, days.at(-1)];
  const opened = slots.some((slot) => slot.starts_at === chosen) ? chosen : first;
  const isFirst = from <= today;
  part("days").replaceChildren(
    ...days.flatMap((day) => oneDay(day, slots.filter((slot) => dayOf(slot.starts_at) === day), opened?.startsWith(day), first, view)),
    part("nothing"),
    part("failed"),
  );
  part("days").inert = false;
  part("week").classList.remove("loading");
  part("failed").hidden = true;
  write("span", span(from, last));
  write("zone", zonesOf(zone, from, last));
  write("next", isFirst && first && shortTime(first, zone));
  part("nothing").hidden = Boolean(first);
  part("none").hidden = Boolean(next);
  part("horizon").textContent = horizon;
  write("later-time", next && shortTime(next.starts_at, zone));
  Object.assign(part("later-start"), { value: next?.starts_at, disabled: !next, checked: false });
  const [earlier, later] = [daysAfter(from, -daysShown), daysAfter(from, daysShown)];
  turn("earlier", isFirst ? "" : earlier < today ? today : earlier);
  turn("later", later > daysAfter(today, horizon) ? "" : later);
}

// The same shape while the answer is awaited, so that nothing moves when it comes.
export function showLoading(from, view) {
  const blanks = Array.from({ length: 16 }, (_, number) => ({ starts_at: `${from}T${number < 8 ? "08" : "13"}:00` }));
  showWeek({ from, slots: blanks }, { ...view, away: false });
  part("week").classList.add("loading");
  part("days").inert = true;
}

// `text` says what stands in the way; without one a second try and the clinic's phone are offered.
export function showFailure(text) {
  part("week").classList.remove("loading");
  part("days").inert = false;
  part("days").querySelector(":checked + .day + .panel")?.replaceChildren();
  part("failed").hidden = false;
  write("refused", text);
  part("trouble").hidden = Boolean(text);
}

export function addOwnTime(radio, zone) {
  radio.nextElementSibling.append(Object.assign(document.createElement("i"), { textContent: ownTime(radio.value, zone) }));
}

function turn(name, day) {
  Object.assign(part(name), { value: day, disabled: !day });
}

function oneDay(day, slots, checked, first, view) {
  const [tab, label, panel] = clone("a-day").children;
  const name = dayName(day);
  const count = slots.length ? `${slots.length} free` : "none";
  Object.assign(tab, { id: `day-${day}`, checked, disabled: !slots.length, ariaLabel: `${name}, ${count}` });
  label.htmlFor = tab.id;
  [name.slice(0, 3), Number(day.slice(8)), count].forEach((text, number) => (label.children[number].textContent = text));
  for (const [half, is] of [["Morning", (hour) => hour < 12], ["Afternoon", (hour) => hour >= 12]]) {
    if (slots.length) panel.append(halfOf(half, name, slots.filter((slot) => is(hourOf(slot.starts_at))), first, view));
  }
  return [tab, label, panel];
}

function halfOf(name, day, slots, first, view) {
  const half = clone("a-part");
  const [title, nothing, starts] = half.children;
  half.ariaLabel = `${day}, ${name.toLowerCase()}`;
  title.textContent = name;
  nothing.hidden = slots.length > 0;
  const shown = slots.length > mostShown ? shownFirst(slots) : slots;
  for (const slot of slots) starts.append(time(slot.starts_at, !shown.includes(slot), first, view));
  if (shown.length < slots.length) {
    const more = clone("more-times");
    more.querySelector("b").textContent = slots.length - shown.length;
    starts.append(more);
  }
  return half;
}

function shownFirst(slots) {
  for (const minutes of [[0, 30], [0]]) {
    const some = slots.filter((slot) => minutes.includes(minuteOf(slot.starts_at)));
    if (some.length && some.length < mostShown) return some;
  }
  return slots.slice(0, mostShown - 1);
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
