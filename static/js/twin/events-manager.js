/**
 * Keeps a page of the twin's Events Manager fresh: fetches it again every two seconds and replaces what changed,
 * leaving open rows open and the keyboard focus where it was.
 */
(() => {
  "use strict";

  const EVERY_MS = 2000;
  const status = /** @type {HTMLElement} */ (document.getElementById("live"));
  const toggle = /** @type {HTMLButtonElement} */ (document.getElementById("pause"));
  const clear = /** @type {HTMLButtonElement} */ (document.getElementById("clear"));
  let paused = false;

  async function refresh() {
    if (paused || document.hidden) return;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      show(new DOMParser().parseFromString(await answer.text(), "text/html"));
      say("Live");
    } catch {
      say("The twin does not answer");
    }
  }

  /** @param {Document} fresh */
  function show(fresh) {
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = fresh.querySelector(`[data-live="${part.getAttribute("data-live")}"]`);
      if (!next) continue;
      for (const open of part.querySelectorAll("details[open][id]")) {
        next.querySelector(`#${CSS.escape(open.id)}`)?.setAttribute("open", "");
      }
      if (next.innerHTML !== part.innerHTML) replace(part, next);
    }
  }

  /** @param {Element} part @param {Element} next */
  function replace(part, next) {
    const focused = document.activeElement;
    const row = part.contains(focused) ? focused?.closest("details[id]")?.id : undefined;
    part.replaceChildren(...next.childNodes);
    if (row) /** @type {HTMLElement | null} */ (document.querySelector(`#${CSS.escape(row)} > summary`))?.focus();
  }

  /** @param {string} text */
  function say(text) {
    if (status.textContent !== text) status.textContent = text;
  }

  toggle.addEventListener("click", () => {
    paused = !paused;
    toggle.setAttribute("aria-pressed", String(paused));
    say(paused ? "Paused" : "Live");
    void refresh();
  });
  clear.addEventListener("click", async () => {
    await fetch("/twin/state", { method: "DELETE" });
    location.reload();
  });
  for (const button of [toggle, clear]) button.hidden = false;
  say("Live");
  setInterval(refresh, EVERY_MS);
})();
