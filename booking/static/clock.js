// How times are read: in the clinic's zone, and for a visitor elsewhere in their own as well.

const read = (zone, options, instant) => new Intl.DateTimeFormat("en-US", { timeZone: zone, ...options }).format(instant);
const wall = (zone, instant) => read(zone, { dateStyle: "short", timeStyle: "short" }, instant);
const noon = (day) => new Date(`${day}T12:00Z`);

// "2026-12-01T10:30:00-05:00" is written on the clinic's clock: its day and hour need no zone.
export const dayOf = (startsAt) => startsAt.slice(0, 10);
export const hourOf = (startsAt) => Number(startsAt.slice(11, 13));

export const todayIn = (zone) => new Intl.DateTimeFormat("en-CA", { timeZone: zone }).format();
export const daysAfter = (day, count) => new Date(noon(day).getTime() + count * 86400000).toISOString().slice(0, 10);

// "Tuesday, December 1"
export const dayName = (day) => read("UTC", { weekday: "long", month: "long", day: "numeric" }, noon(day));

// "EST", or "Eastern Time"
export const zoneAt = (zone, instant, timeZoneName = "short") => read(zone, { timeZoneName }, instant).split(", ")[1];

// "Eastern Time (EST)", or "(EDT, then EST)" where the clock changes between two days.
export function zoneName(zone, ...days) {
  const names = new Set(days.map((day) => zoneAt(zone, noon(day))));
  return `${zoneAt(zone, noon(days[0]), "longGeneric")} (${[...names].join(", then ")})`;
}

// "10:30 AM", with the zone where the clock shows the time twice that day: clocks are set back at night.
export function clockTime(startsAt, zone) {
  const [hour, instant] = [hourOf(startsAt), new Date(startsAt).getTime()];
  const shown = `${hour % 12 || 12}:${startsAt.slice(14, 16)} ${hour < 12 ? "AM" : "PM"}`;
  const twice = hour < 4 && [-60, -30, 30, 60].some((minutes) => wall(zone, instant + minutes * 60000) === wall(zone, instant));
  return twice ? `${shown} ${zoneAt(zone, instant)}` : shown;
}

// "Tue, Dec 1, 10:30 AM"
export const shortTime = (startsAt, zone) => `${dayName(dayOf(startsAt)).replace(/([A-Z]..)[a-z]+/g, "$1")}, ${clockTime(startsAt, zone)}`;

// "Tuesday, December 1, 10:30 AM EST", to be broken between day and time alone.
export function longTime(startsAt, zone) {
  const clock = `${clockTime(startsAt, zone).replace(/M .*/, "M")} ${zoneAt(zone, new Date(startsAt))}`;
  return `${dayName(dayOf(startsAt)).replace(/ (?=\d)/, "\u00a0")}, ${clock.replaceAll(" ", "\u00a0")}`;
}

export const ownZone = Intl.DateTimeFormat().resolvedOptions().timeZone;

// Whether the visitor's clock shows something else than the clinic's.
export const elsewhere = (zone, instant = Date.now()) => wall(ownZone, instant) !== wall(zone, instant);

// The visitor's own time, with its day where that is another one: "7:30 AM", "Wed 12:30 AM".
export function ownTime(startsAt, zone) {
  const instant = new Date(startsAt);
  const [day, own] = [zone, ownZone].map((each) => wall(each, instant).split(",")[0]);
  return read(ownZone, { hour: "numeric", minute: "2-digit", weekday: day === own ? undefined : "short" }, instant);
}

export const ownTimeInWords = (startsAt, zone) => `${ownTime(startsAt, zone)} ${zoneAt(ownZone, new Date(startsAt))} where you are`;
