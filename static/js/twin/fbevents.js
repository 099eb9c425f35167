/**
 * The twin's stand-in for Meta's fbevents.js, written by hand for tests and demonstrations.
 *
 * It behaves towards the page and the network as the real script was observed to: the stub's queue, one lock per
 * `init` until `signals/config/<id>` has run, consent, eventID, the choice of transport, first-party cookies, and
 * PageViews that it fires by itself. It has no advanced matching from forms, no plugins, and no unload listener, so
 * that a page stays fit for the back/forward cache. Addresses come from the script's own, so it works on any host.
 * Loaded with `?hooks=0` it hides its internal events, as a later version of the real one might.
 */
(() => {
  "use strict";

  const script = /** @type {HTMLScriptElement} */ (document.currentScript);
  const origin = new URL(script.src).origin;
  const withHooks = new URL(script.src).searchParams.get("hooks") !== "0";
  const page = /** @type {any} */ (window);

  const GET_LIMIT = 2048;
  const COOKIE_SECONDS = 90 * 24 * 3600;
  const startedMs = Date.now();

  if (page.fbq && page.fbq.instance) {
    complain("Multiple pixels with conflicting versions were detected on this page.");
    return;
  }
  const fbq = page.fbq || makeStub();

  /** @typedef {{id: string, userData: Record<string, string>, sent: number, pageViewSent: boolean}} Pixel */

  /** @type {Map<string, Pixel>} */
  const pixels = new Map();
  /** @type {Record<string, boolean>} */
  const locks = {};
  /** @type {string[] | null} */
  let processingOptions = null;
  /** @type {(string | undefined)[]} */
  let processingPlace = [];
  let configRan = false;
  let watching = false;
  let lastHref = "";

  // ---- internal events that pages may listen to, undocumented in the real script too ----

  /** @template {any[]} A */
  class Hook {
    constructor() {
      /** @type {((...args: A) => void)[]} */
      this.listeners = [];
    }
    /** @param {(...args: A) => void} listener */
    listen(listener) {
      this.listeners.push(listener);
    }
    /** @param {A} args */
    trigger(...args) {
      for (const listener of this.listeners) listener(...args);
    }
  }

  /** @type {Hook<[string, URLSearchParams]>} transport, parameters; right after the dispatch */
  const fired = new Hook();
  /** @type {Hook<[string, URLSearchParams, string]>} pixel, parameters, event name; only without an id */
  const setEventId = new Hook();

  // ---- commands ----

  /** @type {Record<string, (...args: any[]) => void>} */
  const commands = {
    init,
    track: (name, data, options) => trackAll(name, data, options),
    trackCustom: (name, data, options) => trackAll(name, data, options),
    trackSingle: (id, name, data, options) => trackOne(id, name, data, options),
    trackSingleCustom: (id, name, data, options) => trackOne(id, name, data, options),
    consent,
    dataProcessingOptions: (options, country, state) => {
      processingOptions = Array.isArray(options) ? options.map(String) : null;
      processingPlace = [country, state];
    },
    set: () => {},
  };

  /** @param {any[]} args */
  function callMethod(...args) {
    const [name, ...rest] = args;
    if (name !== "consent" && isLocked()) {
      fbq.queue.push(args);
    } else if (Object.hasOwn(commands, name)) {
      commands[name](...rest);
    } else {
      complain(`'${String(name)}' is not a supported command.`);
    }
  }

  function drain() {
    for (const args of fbq.queue.splice(0)) callMethod(...Array.from(args));
  }

  function isLocked() {
    return Object.keys(locks).length > 0;
  }

  /** @param {"revoke" | "grant"} choice */
  function consent(choice) {
    if (choice === "revoke") {
      locks.consent = true;
    } else if (choice === "grant") {
      unlock("consent");
    } else {
      complain("consent takes 'grant' or 'revoke'.");
    }
  }

  /** @param {string} name */
  function unlock(name) {
    delete locks[name];
    if (!isLocked()) drain();
  }

  /** @param {unknown} rawId @param {Record<string, unknown>} [userData] */
  function init(rawId, userData) {
    const id = String(rawId);
    if (!/^[0-9]{1,20}$/.test(id)) {
      complain("Invalid PixelID.");
      return;
    }
    const known = pixels.get(id);
    if (known) {
      if (userData && Object.keys(known.userData).length === 0) known.userData = hashUserData(userData);
      else complain(`Duplicate Pixel ID: ${id}.`);
      return;
    }
    pixels.set(id, { id, userData: hashUserData(userData), sent: 0, pageViewSent: false });
    if (!fbq.disableConfigLoading) loadConfig(id);
  }

  /** The queue stays locked until that script has run: no error handler and no time-out, as in the real one. @param {string} id */
  function loadConfig(id) {
    locks[`config:${id}`] = true;
    const element = document.createElement("script");
    element.async = true;
    element.src = `${origin}/signals/config/${id}?v=${fbq.version}&r=stable&domain=${location.hostname}`;
    const first = document.getElementsByTagName("script")[0];
    if (first && first.parentNode) first.parentNode.insertBefore(element, first);
    else document.head.appendChild(element);
  }

  // ---- events ----

  /** @param {string} name @param {any} data @param {any} options */
  function trackAll(name, data, options) {
    for (const pixel of pixels.values()) trackOne(pixel.id, name, data, options);
  }

  /** @param {unknown} id @param {string} name @param {any} data @param {any} options */
  function trackOne(id, name, data, options) {
    const pixel = pixels.get(String(id));
    if (!pixel) {
      complain(`trackSingle needs a pixel that was initialised: ${String(id)}.`);
      return;
    }
    if (data && ("eventID" in Object(data) || "event_id" in Object(data))) {
      complain("eventID belongs into the argument after the event's data.");
    }
    if (name === "PageView" && pixel.pageViewSent && !fbq.allowDuplicatePageViews) return;
    fire(pixel, name, data, readEventId(options));
  }

  /** null or nothing: no id. An empty text is sent as it is. @param {any} options @returns {string | null} */
  function readEventId(options) {
    if (options === null || options === undefined) return null;
    const id = findId(options);
    if (id === undefined) {
      complain("The fourth argument holds no eventID.");
      return null;
    }
    return id === null ? null : String(id);
  }

  /** @param {any} holder @returns {unknown} */
  function findId(holder) {
    if (holder === null || typeof holder !== "object") return undefined;
    const id = holder.eventID !== undefined ? holder.eventID : holder.event_id;
    return id !== null && typeof id === "object" ? findId(id) : id;
  }

  /** @param {Pixel} pixel @param {string} name @param {any} data @param {string | null} eventId */
  function fire(pixel, name, data, eventId) {
    if (name === "PageView") pixel.pageViewSent = true;
    const params = buildParams(pixel, name, data);
    if (eventId !== null) params.append("eid", eventId);
    else setEventId.trigger(pixel.id, params, name);
    const transport = send(params);
    fired.trigger(transport, params);
    watchHistory();
  }

  /** @param {Pixel} pixel @param {string} name @param {any} data */
  function buildParams(pixel, name, data) {
    const params = new URLSearchParams();
    params.append("id", pixel.id);
    params.append("ev", String(name));
    params.append("dl", location.href);
    params.append("rl", document.referrer);
    params.append("if", String(window.top !== window));
    params.append("ts", String(Date.now()));
    for (const [key, value] of Object.entries(Object(data))) {
      if (value !== undefined && value !== null) params.append(`cd[${key}]`, asText(value));
    }
    params.append("sw", String(screen.width));
    params.append("sh", String(screen.height));
    for (const [key, value] of Object.entries(pixel.userData)) params.append(`ud[${key}]`, value);
    params.append("v", fbq.version);
    params.append("r", "stable");
    if (fbq.agent) params.append("a", String(fbq.agent));
    params.append("ec", String(pixel.sent++));
    params.append("o", configRan ? "4126" : "30");
    if (configRan) appendCookies(params);
    params.append("it", String(startedMs));
    params.append("coo", "false");
    appendProcessingOptions(params);
    return params;
  }

  /** @param {URLSearchParams} params */
  function appendProcessingOptions(params) {
    if (!processingOptions) return;
    params.append("dpo", processingOptions.join(","));
    params.append("dpoco", String(processingPlace[0] ?? 0));
    params.append("dpost", String(processingPlace[1] ?? 0));
  }

  /** @param {unknown} value */
  function asText(value) {
    return typeof value === "object" ? JSON.stringify(value) : String(value);
  }

  // ---- transports ----

  /** @param {URLSearchParams} params @returns {"GET" | "BEACON" | "POST"} */
  function send(params) {
    const url = `${origin}/tr/?${params}&rqm=GET`;
    if (url.length < GET_LIMIT) {
      new Image().src = url;
      return "GET";
    }
    const isChromium = navigator.vendor === "Google Inc.";
    if (!isChromium && sendBeacon(params)) return "BEACON";
    sendForm(params);
    return "POST";
  }

  /** @param {URLSearchParams} params */
  function sendBeacon(params) {
    const body = new FormData();
    for (const [name, value] of params) body.append(name, value);
    body.append("rqm", "SB");
    return navigator.sendBeacon(`${origin}/tr/`, body);
  }

  /** @param {URLSearchParams} params */
  function sendForm(params) {
    const target = `fb${Math.random().toString(36).slice(2)}`;
    const form = document.createElement("form");
    Object.assign(form, { method: "post", action: `${origin}/tr/`, target, acceptCharset: "utf-8" });
    form.style.display = "none";
    for (const [name, value] of [...params, ["rqm", "formPOST"]]) {
      const input = document.createElement("input");
      Object.assign(input, { type: "hidden", name, value });
      form.appendChild(input);
    }
    const frame = document.createElement("iframe");
    frame.name = target;
    frame.style.display = "none";
    document.body.append(frame, form);
    // The frame's own empty page has loaded by now; the next load is the answer.
    frame.addEventListener("load", () => setTimeout(() => [frame, form].forEach((each) => each.remove())));
    form.submit();
  }

  // ---- cookies: only once a config script has run, as there they come with it ----

  /** Both are re-written on every event, which renews their 90 days. @param {URLSearchParams} params */
  function appendCookies(params) {
    const clickId = findClickId();
    const stored = readCookie("_fbc");
    const isNewClick = clickId && stored?.split(".")[3] !== clickId;
    const fbc = isNewClick ? writeCookie("_fbc", mint(clickId)) : stored && writeCookie("_fbc", stored);
    const random = String(Math.round(2147483647 * Math.random()));
    const fbp = writeCookie("_fbp", readCookie("_fbp") || mint(random));
    if (fbc) params.append("fbc", fbc);
    if (fbp) params.append("fbp", fbp);
  }

  /** @param {string} payload */
  function mint(payload) {
    const index = Math.max(0, cookieDomain().split(".").length - 2);
    return `fb.${index}.${Date.now()}.${payload}`;
  }

  function findClickId() {
    for (const address of [location.href, document.referrer]) {
      const found = /[?&]fbclid=([^&#]+)/.exec(address);
      if (found) return decodeURIComponent(found[1]).replaceAll(".", "__DOT__");
    }
    return null;
  }

  /** A cookie in Meta's form; another's is ignored and will be replaced. @param {string} name */
  function readCookie(name) {
    const found = document.cookie.split("; ").find((each) => each.startsWith(`${name}=`));
    const value = found ? decodeURIComponent(found.slice(name.length + 1)) : "";
    const fields = value.split(".");
    const appendix = fields[4];
    const isAppendix = appendix === undefined || /^(AQ|Ag|Aw|BA|BQ|Bg|.{8})$/.test(appendix);
    return fields[0] === "fb" && fields.length >= 4 && fields.length <= 5 && isAppendix ? value : null;
  }

  /** @param {string} name @param {string} value @returns {string | null} what the browser kept */
  function writeCookie(name, value) {
    setCookie(name, value, cookieDomain(), COOKIE_SECONDS);
    return readCookie(name);
  }

  /** The widest domain that the browser lets this page write to, such as .shop.example; "" for the host alone. */
  function cookieDomain() {
    const labels = location.hostname.split(".");
    const isName = labels.length > 1 && !/^[0-9.]+$/.test(location.hostname);
    for (let width = 1; isName && width <= labels.length; width++) {
      const domain = `.${labels.slice(-width).join(".")}`;
      setCookie("_fbw", "1", domain, 60);
      if (!document.cookie.includes("_fbw=1")) continue;
      setCookie("_fbw", "", domain, 0);
      return domain;
    }
    return "";
  }

  /** @param {string} name @param {string} value @param {string} domain @param {number} seconds */
  function setCookie(name, value, domain, seconds) {
    const scope = domain && `; domain=${domain}`;
    document.cookie = `${name}=${encodeURIComponent(value)}; max-age=${seconds}; path=/${scope}; SameSite=Lax`;
  }

  // ---- PageViews that the script fires by itself, without an id; wrappers of fbq do not see them ----

  function watchHistory() {
    if (watching) return;
    watching = true;
    lastHref = location.href;
    for (const name of /** @type {const} */ (["pushState", "replaceState"])) {
      const original = history[name];
      history[name] = function (...args) {
        original.apply(this, args);
        pageChanged();
      };
    }
    addEventListener("popstate", pageChanged);
    addEventListener("pageshow", (event) => {
      if (event.persisted) firePageViews();
    });
  }

  function pageChanged() {
    if (location.href === lastHref) return;
    lastHref = location.href;
    if (!fbq.disablePushState) firePageViews();
  }

  function firePageViews() {
    if (isLocked()) return;
    for (const pixel of pixels.values()) fire(pixel, "PageView", {}, null);
  }

  // ---- advanced matching ----

  /** @param {Record<string, unknown>} [userData] @returns {Record<string, string>} */
  function hashUserData(userData) {
    /** @type {Record<string, string>} */
    const hashed = {};
    for (const [key, raw] of Object.entries(userData || {})) {
      const text = tidy(key, String(raw ?? ""));
      if (text) hashed[key === "cn" ? "country" : key] = /^([0-9a-f]{32}|[0-9a-f]{64})$/.test(text) ? text : sha256(text);
    }
    return hashed;
  }

  /** @param {string} key @param {string} raw */
  function tidy(key, raw) {
    const text = raw.trim().toLowerCase();
    if (/^[0-9a-f]{64}$/.test(text) || key === "em") return text;
    if (key === "ph") return text.replace(/[^0-9]/g, "").replace(/^0+/, "");
    return text.replace(/\s+/g, "");
  }

  /** SHA-256 of a text as UTF-8, in hexadecimal; at once, since the event is built at once. @param {string} text */
  function sha256(text) {
    const bytes = new TextEncoder().encode(text);
    const words = new Uint32Array((((bytes.length + 8) >> 6) + 1) * 16);
    bytes.forEach((byte, index) => (words[index >> 2] |= byte << (24 - (index % 4) * 8)));
    words[bytes.length >> 2] |= 0x80 << (24 - (bytes.length % 4) * 8);
    words[words.length - 1] = bytes.length * 8;
    const { constants, state } = sha256Tables();
    const w = new Uint32Array(64);
    for (let block = 0; block < words.length; block += 16) {
      w.set(words.subarray(block, block + 16));
      for (let t = 16; t < 64; t++) {
        const s0 = rotate(w[t - 15], 7) ^ rotate(w[t - 15], 18) ^ (w[t - 15] >>> 3);
        const s1 = rotate(w[t - 2], 17) ^ rotate(w[t - 2], 19) ^ (w[t - 2] >>> 10);
        w[t] = w[t - 16] + s0 + w[t - 7] + s1;
      }
      let [a, b, c, d, e, f, g, h] = state;
      for (let t = 0; t < 64; t++) {
        const t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + constants[t] + w[t];
        const t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        [h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + t2) | 0];
      }
      [a, b, c, d, e, f, g, h].forEach((word, index) => (state[index] += word));
    }
    return Array.from(state, (word) => word.toString(16).padStart(8, "0")).join("");
  }

  /** @param {number} word @param {number} bits */
  function rotate(word, bits) {
    return (word >>> bits) | (word << (32 - bits));
  }

  /** The fractional parts of the roots of the first 64 primes, which is what the standard's tables are. */
  function sha256Tables() {
    const constants = new Uint32Array(64);
    const state = new Uint32Array(8);
    for (let number = 2, found = 0; found < 64; number++) {
      let isPrime = true;
      for (let divisor = 2; divisor * divisor <= number; divisor++) isPrime &&= number % divisor !== 0;
      if (!isPrime) continue;
      if (found < 8) state[found] = (Math.sqrt(number) % 1) * 2 ** 32;
      constants[found++] = (Math.cbrt(number) % 1) * 2 ** 32;
    }
    return { constants, state };
  }

  // ---- start ----

  /** @param {string} text */
  function complain(text) {
    console.warn(`[Meta Pixel twin] - ${text}`);
  }

  /** What Meta's base code puts there, for a page that loads this script without it. */
  function makeStub() {
    /** @type {any} */
    const stub = (/** @type {any[]} */ ...args) =>
      stub.callMethod ? stub.callMethod(...args) : stub.queue.push(args);
    Object.assign(stub, { push: stub, loaded: true, version: "2.0", queue: [] });
    page.fbq = page._fbq = stub;
    return stub;
  }

  fbq.instance = {
    locks: { _locks: locks },
    pixelsByID: pixels,
    configLoaded(/** @type {unknown} */ id) {
      configRan = true;
      unlock(`config:${String(id)}`);
    },
  };
  fbq.version = "2.9.999";
  fbq.getState = () => ({
    pixelInitializationTime: startedMs,
    pixels: Array.from(pixels.values(), ({ id, sent }) => ({ id, eventCount: sent, userData: {} })),
  });
  if (withHooks) {
    fbq.getFbeventsModules = (/** @type {string} */ name) =>
      name === "SignalsFBEventsEvents" ? { fired, setEventId } : undefined;
  }
  fbq.callMethod = callMethod;
  drain();
})();
