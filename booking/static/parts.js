// The places of the page that scripts write into, by name.

export const part = (name) => document.querySelector(`[data-part=${name}]`);

export function write(name, text) {
  part(name).textContent = text || "";
  part(name).hidden = !text;
}
