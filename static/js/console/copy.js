// The copy buttons: they show themselves where copying works. What they copy stands beside them in any case.

const SAID_MS = 1500;

async function copy(/** @type {HTMLButtonElement} */ button) {
  const text = button.parentElement?.querySelector("code")?.textContent ?? "";
  await navigator.clipboard.writeText(text);
  const said = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = said), SAID_MS);
}

// One listener for the page: the live part is replaced now and then, with its buttons.
document.addEventListener("click", (event) => {
  const button = event.target instanceof Element && event.target.closest("button[data-copy]");
  if (button instanceof HTMLButtonElement) void copy(button);
});

function show() {
  for (const button of document.querySelectorAll("button[data-copy][hidden]")) button.removeAttribute("hidden");
}

if (navigator.clipboard) {
  show();
  new MutationObserver(show).observe(document.body, { childList: true, subtree: true });
}
