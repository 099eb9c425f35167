// The Live page: rows come by server-sent events, drawn by the relay. Filters and the pause are the reader's own.

const ROWS_MAX = 300;

const body = /** @type {HTMLTableSectionElement} */ (document.querySelector("[data-rows]"));
const filters = /** @type {HTMLFormElement} */ (document.querySelector("[data-filters]"));
const pause = /** @type {HTMLButtonElement} */ (document.querySelector("[data-pause]"));
const state = /** @type {HTMLElement} */ (document.querySelector("[data-state]"));
/** @type {Map<number, string>} rows that came while paused: the last word on each */
const held = new Map();

function isShown(/** @type {HTMLElement} */ row) {
  const wanted = new FormData(filters);
  const [name, fate, page] = ["name", "fate", "page"].map((key) => String(wanted.get(key) ?? ""));
  return (
    (!name || row.dataset.name === name) &&
    (!fate || row.dataset.fate === fate) &&
    (!page || (row.dataset.page ?? "").includes(page))
  );
}

function filter() {
  for (const row of body.rows) row.hidden = !isShown(row);
}

function draw(/** @type {number} */ id, /** @type {string} */ html) {
  // Our own relay's words, in which every value is escaped; a template runs no script.
  const template = document.createElement("template");
  template.innerHTML = html;
  const row = /** @type {HTMLTableRowElement} */ (template.content.firstElementChild);
  row.hidden = !isShown(row);
  const old = document.getElementById(`row-${id}`);
  if (old) old.replaceWith(row);
  else body.prepend(row);
  document.querySelector("[data-empty]")?.remove();
  while (body.rows.length > ROWS_MAX) body.deleteRow(-1);
}

function isPaused() {
  return pause.getAttribute("aria-pressed") === "true";
}

function say() {
  state.textContent = isPaused() ? `Paused; ${held.size} changes wait.` : "Live.";
}

function toggle() {
  pause.setAttribute("aria-pressed", String(!isPaused()));
  pause.textContent = isPaused() ? "Go on" : "Pause";
  if (!isPaused()) {
    for (const [id, html] of held) draw(id, html);
    held.clear();
  }
  say();
}

const stream = new EventSource(body.dataset.stream ?? "");
stream.addEventListener("message", (event) => {
  const { id, html } = JSON.parse(event.data);
  if (isPaused()) held.set(id, html);
  else draw(id, html);
  if (isPaused()) say();
});
stream.addEventListener("open", say);
stream.addEventListener("error", () => {
  state.textContent =
    stream.readyState === EventSource.CLOSED ? "Not live: reload the page." : "The relay is away; trying again.";
});

pause.hidden = false;
pause.addEventListener("click", toggle);
filters.addEventListener("input", filter);
filters.addEventListener("submit", (event) => event.preventDefault());
