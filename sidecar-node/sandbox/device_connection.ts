import type { Companion } from './companions.ts';
import type { Node } from './wire.ts';

let lastId = 0;
export const nextConnectionId = (): number => ++lastId;

/** A linked device's connection, whatever the device speaks: stanzas (`Connection`) or a page's JSON (`PageConnection`). */
export interface DeviceConnection {
  readonly id: number;
  readonly since: number;
  readonly companion: Companion | undefined;
  readonly closed: boolean;
  /** Delivers what was queued and is safe. */
  deliver(): void;
  send(stanza: Node): void;
  notify(type: string, attrs: Record<string, string>, content: Node[]): void;
  /** Ends the stream as the server does. */
  streamError(code: string | undefined, reason?: Node): void;
  fail(reason: number): void;
  /** Reads nothing for so long. */
  freeze(milliseconds: number): void;
  /** Ends it as a broken network does. */
  destroy(): void;
}
