// The demo shop's own script: a cart in localStorage, and the calls that any shop would make to `counterfoil`.

/** @typedef {{id: string, quantity: number, price: number}} Line */
/** @typedef {{lines: Line[], email: string, eventId: string, number: string, told?: boolean}} Order */

const counterfoil = /** @type {(...call: unknown[]) => unknown} */ (
  /** @type {unknown} */ (Reflect.get(window, 'counterfoil'))
);
const currency = document.body.dataset['currency'] ?? 'EUR';

/** @template T @param {Storage} storage @param {string} key @param {T} otherwise @returns {T} */
function read(storage, key, otherwise) {
  try {
    return JSON.parse(storage.getItem(key) ?? 'null') ?? otherwise;
  } catch {
    return otherwise;
  }
}

/** @param {string} selector */
function find(selector) {
  return /** @type {HTMLElement | null} */ (document.querySelector(selector));
}

/** @param {string} selector @param {string} text */
function write(selector, text) {
  const element = find(selector);
  if (element) element.textContent = text;
}

/** @returns {Line[]} */
const cart = () => read(localStorage, 'cart', []);

/** @param {number} amount */
const money = (amount) => `€\u00a0${amount.toFixed(2)}`;

/** @param {Line[]} lines */
const total = (lines) => Math.round(lines.reduce((sum, line) => sum + line.price * line.quantity, 0) * 100) / 100;

/** @param {Line[]} lines */
function customData(lines) {
  return {
    value: total(lines),
    currency,
    content_type: 'product',
    content_ids: lines.map((line) => line.id),
    contents: lines.map(({ id, quantity, price }) => ({ id, quantity, item_price: price })),
    num_items: lines.reduce((sum, line) => sum + line.quantity, 0),
  };
}

/** @param {Line[]} lines */
function save(lines) {
  localStorage.setItem('cart', JSON.stringify(lines));
  showCount();
}

/** @param {string} id @param {number} price */
function add(id, price) {
  const lines = cart();
  const known = lines.find((line) => line.id === id);
  if (known) known.quantity += 1;
  else lines.push({ id, price, quantity: 1 });
  save(lines);
  counterfoil('track', 'AddToCart', customData([{ id, price, quantity: 1 }]));
}

function showCount() {
  const count = cart().reduce((sum, line) => sum + line.quantity, 0);
  const badge = find('[data-cart-count]');
  if (!badge) return;
  badge.textContent = String(count);
  badge.hidden = count === 0;
}

/** @param {HTMLElement} product */
function productPage(product) {
  const { product: id = '', price = '0' } = product.dataset;
  counterfoil('track', 'ViewContent', customData([{ id, price: Number(price), quantity: 1 }]));
  find('[data-add]')?.addEventListener('click', () => {
    add(id, Number(price));
    write('[data-said]', 'In your cart.');
  });
}

/** One click for who wants to see a receipt and no shop. @param {HTMLElement} button */
function buyAtOnce(button) {
  const { buy: id = '', price } = button.dataset;
  button.addEventListener('click', () => {
    add(id, Number(price));
    buy('ada@example.com');
  });
}

/** @param {HTMLElement} form */
function cartPage(form) {
  showLines(form);
  if (cart().length) counterfoil('track', 'InitiateCheckout', customData(cart()));
  find('[data-fill]')?.addEventListener('click', () => {
    const known = find('[data-known="ledger"]')?.dataset ?? {};
    add('ledger', Number(known['price'] ?? 0));
    showLines(form);
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    buy(/** @type {HTMLInputElement} */ (find('#email')).value);
  });
}

/** @param {HTMLElement} form */
function showLines(form) {
  const lines = cart();
  form.hidden = lines.length === 0;
  const empty = find('[data-empty]');
  if (empty) empty.hidden = lines.length > 0;
  find('[data-lines]')?.replaceChildren(...lines.map((line) => lineElement(form, line)));
  write('[data-total]', money(total(lines)));
}

/** @param {HTMLElement} form @param {Line} line */
function lineElement(form, line) {
  const template = /** @type {HTMLTemplateElement} */ (find('[data-line]'));
  const element = /** @type {HTMLElement} */ (template.content.cloneNode(true));
  const put = (/** @type {string} */ selector, /** @type {string} */ text) => {
    const place = element.querySelector(selector);
    if (place) place.textContent = text;
  };
  put('.name', find(`[data-known="${line.id}"]`)?.dataset['name'] ?? line.id);
  put('.quantity', `× ${line.quantity}`);
  put('.price', money(line.price * line.quantity));
  element.querySelector('button')?.addEventListener('click', () => {
    save(cart().filter((other) => other.id !== line.id));
    showLines(form);
  });
  return element;
}

/** The event_id is made with the order and kept with it. @param {string} email */
function buy(email) {
  const order = { lines: cart(), email, eventId: crypto.randomUUID(), number: String(Date.now()).slice(-6) };
  sessionStorage.setItem('order', JSON.stringify(order));
  save([]);
  location.assign('/thanks');
}

/** @param {HTMLElement} section */
function thanksPage(section) {
  const order = /** @type {Order | null} */ (read(sessionStorage, 'order', null));
  section.hidden = order === null;
  const none = find('[data-none]');
  if (none) none.hidden = order !== null;
  if (order === null) return;
  write('[data-total]', money(total(order.lines)));
  write('[data-event-id]', order.eventId);
  const link = /** @type {HTMLAnchorElement | null} */ (find('[data-receipt]'));
  if (link) link.href += `/${order.eventId}`;
  // A thank-you page is reloaded and revisited; two Purchases of one source may count twice, even with one id.
  if (order.told) return;
  sessionStorage.setItem('order', JSON.stringify({ ...order, told: true }));
  counterfoil(
    'track',
    'Purchase',
    { ...customData(order.lines), order_id: order.number },
    { eventID: order.eventId, userData: { em: order.email } },
  );
}

showCount();
for (const [selector, start] of /** @type {[string, (element: HTMLElement) => void][]} */ ([
  ['[data-buy]', buyAtOnce],
  ['[data-product]', productPage],
  ['[data-cart]', cartPage],
  ['[data-order]', thanksPage],
])) {
  const element = find(selector);
  if (element) start(element);
}
