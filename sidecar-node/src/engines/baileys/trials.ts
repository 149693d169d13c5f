/**
 * libsignal tries a message on each session with its sender until one fits, and leaves those that do not fit changed:
 * their ratchet is stepped for nothing. Where both sides began a session at once, that spoils the one in which the next
 * message is sent, and nobody can read it. Here a try that fails leaves no trace.
 */
import { createRequire } from 'node:module';
import { copyEntry, type Entry } from './quick/records.ts';

interface SessionCipher {
  doDecryptWhisperMessage(message: Buffer, session: Entry): Promise<Buffer>;
}

/** False when libsignal has no such function any more. */
export function cleanTrials(): boolean {
  const { prototype } = createRequire(import.meta.url)('libsignal/src/session_cipher.js') as {
    prototype: SessionCipher;
  };
  const { doDecryptWhisperMessage } = prototype;
  if (typeof doDecryptWhisperMessage !== 'function') return false;
  prototype.doDecryptWhisperMessage = async function (this: SessionCipher, message, session) {
    const before = copyEntry(session);
    try {
      return await doDecryptWhisperMessage.call(this, message, session);
    } catch (error) {
      Object.assign(session, before);
      throw error;
    }
  };
  return true;
}
