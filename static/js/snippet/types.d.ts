// What the snippet's modules share. Member names of `WireEvent` and `Leg` are those of docs/wire.md.

export type State = 'sent' | 'late' | 'blocked' | 'off' | 'pending' | 'undispatched';
/** Of a request that was made. */
export type Transport = 'image' | 'form' | 'beacon' | 'fetch' | 'unknown';

/** What is known of the Pixel's own request. The two times are milliseconds after the event. */
export interface Leg {
  state: State;
  evidence: string;
  transport?: Transport;
  dispatched_ms?: number;
  settled_ms?: number;
  /** Under Meta's own names. */
  seen?: Record<string, string | undefined>;
}

export interface WireEvent {
  event_name: string;
  event_id: string;
  url: string;
  referrer: string;
  fbp?: string;
  fbc?: string;
  custom_data: unknown;
  pixel_ids?: string[];
  signature?: string;
  /** What this session has learnt of the visitor's other address. */
  address_nonce?: string;
  addresses?: string[];
  pixel: Leg;
}

/** One event of this page, or one that an earlier page could not hand over. */
export interface Tracked {
  event: WireEvent;
  /** `performance.now()` of the event; below zero where it happened before this page. */
  at: number;
  /** The customer keys: those given, and those that are hashed. */
  raw?: Record<string, unknown>;
  hashed?: Record<string, string[]>;
  /** Pixel requests under way; one event is one request per pixel. */
  requests: number;
  /** Settled, or a deadline has passed: it may be posted. */
  ready?: boolean;
  /** The last report handed to the network. */
  told?: string;
}

/** The fourth argument of the page's calls. */
export interface Options {
  eventID?: string | number;
  event_id?: string | number;
  userData?: Record<string, unknown>;
  pixelIds?: string[];
  /** By the shop's server, passed through: docs/signing.md. */
  signature?: string;
}

export interface Fbq {
  (...args: unknown[]): void;
  queue?: ArrayLike<unknown>[];
  callMethod?: (...args: unknown[]) => unknown;
  allowDuplicatePageViews?: boolean;
  getFbeventsModules?: (name: string) => any;
  instance?: any;
}

/** What may leave, and what wants to know of it. A part that sets one of the three calls the one before it. */
export interface Gate {
  closed: boolean;
  /** The relay has answered a post. */
  heard?: (answer: string, body: string, tracked: Tracked) => unknown;
  /** It has not, or it was in trouble. */
  failed?: () => unknown;
  /** Meta's script is there. */
  loaded?: () => unknown;
}

export type Violation = Pick<SecurityPolicyViolationEvent, 'blockedURI' | 'disposition' | 'effectiveDirective'>;

/** What the parts of the snippet that are loaded later may touch. */
export interface Core {
  /** An event begins; returns its id. */
  begin: (
    name: string,
    data: unknown,
    eventID?: unknown,
    pixelIds?: string[],
    userData?: Record<string, unknown>,
    signature?: string,
  ) => string | undefined;
  /** Calls of ours that wait for the page's `fbq`. */
  calls: unknown[][];
  /** The script tag's own attributes. */
  data: DOMStringMap;
  events: Tracked[];
  /** Meta's script could not be loaded. */
  fail: () => void;
  /** A request of the Pixel has left. */
  follow: (transport: Transport, address: string, body?: unknown) => ((what: string) => unknown) | undefined;
  find: (id: unknown, name: unknown, pixel?: string | null) => Tracked | undefined;
  gate: Gate;
  /** Goes on where the gate is open. */
  resume: () => void;
  /** Members that every event gets. */
  terms: Record<string, unknown>;
  /** What the page's own policy has stopped. */
  violations: Violation[];
}

/** What a consent adapter gets. */
export interface Source {
  /** The script tag's own attributes. */
  data: DOMStringMap;
  /** Limited Data Use, for both halves of every event from here on. */
  limit: () => void;
  /** What the visitor has decided; called again with every change, and not at all before there is an answer. */
  say: (granted: boolean) => void;
  /** Waits for a page's script. */
  when: (look: () => unknown, then: () => void) => void;
}

export interface Counterfoil {
  /** Of `server`, as of `track`, `name` is the event's; of `consent` it is the word, of `segment` the message. */
  (command: string, name: unknown, data?: object, options?: Options): string | undefined;
  /** Calls made before the script had loaded, kept by the page's stub. */
  q?: ArrayLike<any>[];
  /** Set by the script itself, so that a second copy yields. */
  live?: boolean;
}

declare global {
  /** Put in place by build.js. */
  const COUNTERFOIL_SENDERS: { id: string; mark: string; agent?: string; event_id?: string }[];
  interface Window {
    fbq?: Fbq;
    counterfoil?: Counterfoil;
  }
  interface Document {
    readonly prerendering?: boolean;
  }
  interface Navigator {
    /** Global Privacy Control; undefined in most browsers. */
    readonly globalPrivacyControl?: boolean;
  }
}
