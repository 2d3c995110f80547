"use strict";
// Marks tell more where one points, taps, or goes with the arrow keys. Without
// scripts the titles of SVG do; with both there would be two hints.
const told = document.getElementById("told");
let current = null;
let reached = null; // By the arrow keys.

for (const title of document.querySelectorAll("svg title")) {
  const owner = title.parentNode;
  if (owner.matches(".mark")) owner.dataset.told = title.textContent;
  if (owner.matches("svg")) owner.setAttribute("aria-label", title.textContent);
  title.remove();
}

function show(mark, x, y) {
  if (current !== mark) {
    hide();
    current = mark;
    mark.classList.add("told");
    told.textContent = mark.dataset.told;
    told.hidden = false;
  }
  const box = told.getBoundingClientRect();
  const width = document.documentElement.clientWidth;
  const left = Math.min(Math.max(x + 12, 8), width - box.width - 8);
  const below = y + 18 + box.height < window.innerHeight;
  told.style.left = `${Math.max(left, 8)}px`;
  told.style.top = `${below ? y + 18 : Math.max(y - box.height - 12, 8)}px`;
}

function hide() {
  if (current) current.classList.remove("told");
  current = null;
  told.hidden = true;
}

for (const kind of ["pointermove", "pointerdown"]) {
  document.addEventListener(kind, (event) => {
    const mark = event.target.closest?.("[data-told]");
    if (mark) show(mark, event.clientX, event.clientY);
    else hide();
  });
}
document.addEventListener("scroll", hide, { passive: true });

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") hide();
  const chart = event.target.closest?.(".chart");
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!chart || !step) return;
  const marks = [...chart.querySelectorAll("[data-told]")];
  if (!marks.length) return;
  event.preventDefault();
  const at = marks.indexOf(reached);
  const next = at < 0 ? (step > 0 ? 0 : marks.length - 1) : at + step;
  const mark = marks[Math.min(Math.max(next, 0), marks.length - 1)];
  reached = mark;
  const box = mark.getBoundingClientRect();
  show(mark, box.x + box.width / 2, box.y + Math.min(box.height / 2, 40));
});
document.addEventListener("focusout", () => {
  reached = null;
  hide();
});
