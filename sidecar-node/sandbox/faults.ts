import { Refusal } from './refusal.ts';

export const FAULT_KINDS = [
  'nack',
  'ack_delay',
  'drop_ack',
  'ack_lost_close',
  'stream_error',
  'close',
  'freeze',
  'refuse_connect',
  'replaced',
  'unlink',
  'banned',
  'unavailable',
  'bad_mac',
  'undecryptable',
  'duplicate_delivery',
  'late_receipts',
  'slow',
  'state_conflict',
  'silent_phone',
  'late_phone',
  'broken_history',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export interface Fault {
  readonly id: number;
  readonly kind: FaultKind;
  readonly account?: string;
  readonly contact?: string;
  readonly probability: number;
  readonly delayMs: number;
  readonly code: number;
  /** When it ends; none: when its count is used up or it is cleared. */
  readonly until?: number;
  /** How often it still strikes. */
  left: number;
}

/** Kinds that strike the open connections at once instead of waiting for something to strike. */
export const IMMEDIATE: ReadonlySet<FaultKind> = new Set([
  'stream_error',
  'close',
  'freeze',
  'replaced',
  'unlink',
  'banned',
  'unavailable',
]);

const DEFAULT_CODES: Partial<Record<FaultKind, number>> = {
  nack: 463,
  stream_error: 503,
  banned: 403,
  unavailable: 503,
};

/** Faults that a test asked for. */
export class Faults {
  #list: Fault[] = [];
  #nextId = 1;

  list(): readonly Fault[] {
    this.#expire();
    return this.#list;
  }

  /** Those of a kind, of an account, or all. */
  clear(kind?: string, account?: string): void {
    const meant = (fault: Fault): boolean =>
      (kind === undefined || fault.kind === kind) && (account === undefined || fault.account === account);
    this.#list = this.#list.filter((fault) => !meant(fault));
  }

  add(fault: Fault): void {
    this.#list.push(fault);
  }

  /** The fault of this kind that strikes now, counted as used. */
  take(kind: FaultKind, account: string, contact?: string): Fault | undefined {
    const fault = this.peek(kind, account, contact);
    if (fault && --fault.left <= 0) this.#list = this.#list.filter((other) => other !== fault);
    return fault;
  }

  /** The same without counting. */
  peek(kind: FaultKind, account: string, contact?: string): Fault | undefined {
    if (this.#list.length === 0) return undefined;
    this.#expire();
    return this.#list.find(
      (fault) =>
        fault.kind === kind &&
        (fault.account === undefined || fault.account === account) &&
        (fault.contact === undefined || fault.contact === contact) &&
        (fault.probability >= 1 || Math.random() < fault.probability),
    );
  }

  parse(body: Record<string, unknown>, number: (value: unknown, field: string) => string): Fault {
    const kind = body.kind as FaultKind;
    if (!FAULT_KINDS.includes(kind)) throw new Refusal(`"kind" must be one of ${FAULT_KINDS.join(', ')}.`);
    const numeric = (field: string, least: number, most: number): number | undefined => {
      const value = body[field];
      if (value === undefined) return undefined;
      if (typeof value !== 'number' || !(value >= least && value <= most))
        throw new Refusal(`"${field}" must be a number from ${least} to ${most}.`);
      return value;
    };
    const duration = numeric('seconds', 0, 86_400);
    const lasting = kind === 'slow' || kind === 'late_receipts' || kind === 'refuse_connect' || duration !== undefined;
    return {
      id: this.#nextId++,
      kind,
      ...(body.account === undefined ? {} : { account: number(body.account, 'account') }),
      ...(body.contact === undefined ? {} : { contact: number(body.contact, 'contact') }),
      probability: numeric('probability', 0, 1) ?? 1,
      delayMs: numeric('delay_ms', 0, 3_600_000) ?? 1000,
      code: numeric('code', 100, 999) ?? DEFAULT_CODES[kind] ?? 0,
      ...(duration === undefined ? {} : { until: Date.now() + duration * 1000 }),
      left: numeric('count', 1, 1e9) ?? (lasting || body.probability !== undefined ? Infinity : 1),
    };
  }

  #expire(): void {
    const now = Date.now();
    if (this.#list.some((fault) => fault.until !== undefined && fault.until <= now)) {
      this.#list = this.#list.filter((fault) => fault.until === undefined || fault.until > now);
    }
  }
}
