// Keeps a page fresh while something on it may still change. Without script it is simply not refreshed.

const EVERY_MS = 3000;

/** Whether a reader is at work inside `shown`: replacing it would take the focus or the selection away. */
function inUse(/** @type {Element} */ shown) {
  const selection = document.getSelection();
  return shown.contains(document.activeElement) || (selection !== null && !selection.isCollapsed);
}

async function refresh() {
  const shown = document.querySelector("#live[data-live]");
  if (!shown) return; // all has ended
  if (!document.hidden && !inUse(shown)) {
    try {
      const response = await fetch(location.href, { headers: { accept: "text/html" } });
      if (response.redirected) return location.reload(); // the session is over
      // Our own page, in which every value is escaped; a parsed document runs no script.
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const fresh = page.getElementById("live");
      if (fresh && fresh.innerHTML !== shown.innerHTML) shown.replaceWith(fresh);
    } catch {
      // The relay is away for a moment; the next round asks again.
    }
  }
  setTimeout(refresh, EVERY_MS);
}

setTimeout(refresh, EVERY_MS);
