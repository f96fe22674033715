// Adds the visitor's own time as a second line where a page names a time of the clinic, or offers some.
import { elsewhere, ownTimeInWords } from "./clock.js";
import { write } from "./parts.js";
import { addOwnTime } from "./week.js";

const time = document.querySelector("time[data-zone]");
if (elsewhere(time.dataset.zone, new Date(time.dateTime))) {
  write("own", ownTimeInWords(time.dateTime, time.dataset.zone));
  document.querySelector(".week")?.classList.add("away");
  for (const radio of document.querySelectorAll(".time [name=starts_at]")) addOwnTime(radio, time.dataset.zone);
}
