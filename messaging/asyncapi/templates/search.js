
// Search over everything that has a place on the page. The field is hidden until this runs: without scripts the
// contents and the browser's own search do.
"use strict";
const box = document.querySelector(".search");
const field = box.querySelector("input");
const count = box.querySelector("[role=status]");
const found = box.querySelector("ul");
const contents = document.querySelector(".contents");

const entries = [...document.querySelectorAll("[data-kind]")].map((place) => {
  const name = place.querySelector("h3, h4").textContent;
  const kind = place.dataset.kind;
  const about = place.querySelector("p")?.textContent ?? "";
  return { id: place.id, name, kind, words: `${name} ${kind}`.toLowerCase(), about: about.toLowerCase() };
});

// 0: the name itself, 1: every word is in name and kind, 2: some are in the description only; undefined: not found
function rank(entry, query, words) {
  if (entry.name.toLowerCase() === query) return 0;
  if (words.every((word) => entry.words.includes(word))) return 1;
  if (words.every((word) => entry.words.includes(word) || entry.about.includes(word))) return 2;
}

function link({ id, name, kind }) {
  const item = document.createElement("li");
  const made = item.appendChild(document.createElement("a"));
  made.href = `#${encodeURIComponent(id)}`;
  for (const part of name.split(/(?<=[._])/)) made.append(part, document.createElement("wbr"));
  const what = made.appendChild(document.createElement("span"));
  what.className = "muted";
  what.append(` ${kind}`);
  return item;
}

function search() {
  const query = field.value.trim().toLowerCase();
  const words = query.split(/\s+/);
  const ranked = entries.map((entry) => [rank(entry, query, words), entry]).filter(([place]) => place !== undefined);
  const results = query ? ranked.sort(([one], [other]) => one - other).map(([, entry]) => entry) : [];
  found.replaceChildren(...results.map(link));
  count.textContent = query ? `${results.length || "Nothing"} found` : "";
  contents.hidden = Boolean(query);
}

function leave() {
  if (!field.value) field.blur();
  else {
    field.value = "";
    field.focus();
    search();
  }
}

// Up and down go through the field and the links below it.
function step(from, by) {
  const stops = [field, ...found.querySelectorAll("a")];
  const next = stops[stops.indexOf(from) + by];
  if (next) next.focus();
}

field.addEventListener("input", search);
box.addEventListener("keydown", (event) => {
  if (event.key === "Escape") leave();
  else if (event.key === "ArrowDown") step(event.target, 1);
  else if (event.key === "ArrowUp") step(event.target, -1);
  else if (event.key === "Enter" && event.target === field) found.querySelector("a")?.click();
  else return;
  if (event.key !== "Enter" || event.target === field) event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target === field) return;
  event.preventDefault();
  field.focus();
  field.select();
});
box.hidden = false;
search(); // a browser that goes back may have kept the query
