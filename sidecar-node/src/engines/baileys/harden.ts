/**
 * What must be true of Baileys and libsignal before the first socket. Imports neither: `patchSources` has to run
 * before Baileys is loaded. The versions are pinned; a source that no longer matches ends the process (exit 66).
 */
import { X509Certificate } from 'node:crypto';
import { createRequire, registerHooks } from 'node:module';
import tls from 'node:tls';
import type { Config } from '../../protocol.ts';
import { QUICK, quickenSignal, type Seam } from './quick/seams.ts';
import { cleanTrials } from './trials.ts';

export class UnfitDependency extends Error {
  override name = 'UnfitDependency';
}

const SEAMS: Seam[] = [
  // Every stanza passes `config.outgoing(node, transmit)` on its way out. It has to be here and not at the WebSocket: a
  // noise frame carries a counter, so once encrypted it can be delayed but never overtaken, and Baileys' handling of a
  // stanza sometimes awaits a query (keys, LIDs, pairing) that must not queue behind the very receipt the gate holds.
  {
    file: '/baileys/lib/Socket/socket.js',
    before: '    const sendNode = (frame) => {\n',
    after:
      '    const sendNode = (frame) => config.outgoing ? config.outgoing(frame, transmit) : transmit(frame);\n' +
      '    const transmit = (frame) => {\n',
  },
  // A phone that could not read a status gets it again: Baileys would send it to nobody, or into the phone's own chat.
  {
    file: '/baileys/lib/Socket/messages-recv.js',
    before: '        const sendToAll = !jidDecode(participant)?.device;\n',
    after: '        const sendToAll = !jidDecode(participant)?.device && !isJidStatusBroadcast(remoteJid);\n',
  },
  {
    file: '/baileys/lib/Socket/messages-send.js',
    before:
      '                if (isJidGroup(destinationJid)) {\n                    stanza.attrs.to = destinationJid;\n',
    after: '                if (isGroupOrStatus) {\n                    stanza.attrs.to = destinationJid;\n',
  },
  ...QUICK,
];

let applied = 0;

export function patchSources(): void {
  registerHooks({
    load(url, context, next) {
      const loaded = next(url, context);
      const seams = SEAMS.filter(({ file }) => url.endsWith(file));
      if (seams.length === 0) return loaded;
      const source = Buffer.from(loaded.source as Uint8Array).toString('utf8');
      return { ...loaded, source: seams.reduce(sew, source) };
    },
  });
  requireSignatures();
  if (!cleanTrials()) throw new UnfitDependency('libsignal is not as it was');
  quickenSignal();
}

function sew(source: string, { file, before, after }: Seam): string {
  if (source.split(before).length !== 2) throw new UnfitDependency(`${file} is not as it was`);
  applied++;
  return source.replace(before, () => after);
}

interface SignalCurve {
  verifySignature(key: Uint8Array, message: Uint8Array, signature: Uint8Array, initial?: boolean): boolean;
}

/** libsignal accepts any signed prekey when it begins a session; a forged bundle must be refused instead. */
function requireSignatures(): void {
  const curve = createRequire(import.meta.url)('libsignal/src/curve.js') as SignalCurve;
  const verify = curve.verifySignature;
  curve.verifySignature = (key, message, signature, initial) => {
    const valid = verify(key, message, signature);
    if (initial && !valid) throw new Error('signed prekey signature invalid');
    return valid;
  };
}

type Library = Pick<typeof import('baileys'), 'Curve' | 'WA_CERT_DETAILS' | 'generateSignalPubKey'>;

/** Baileys' `Curve.verify` only catches throws, and libsignal answers false: every signature would pass. */
export function hardenLibrary(library: Library, config: Config): void {
  if (applied !== SEAMS.length) throw new UnfitDependency('baileys was loaded before its seams were in place');
  const curve = createRequire(import.meta.url)('libsignal/src/curve.js') as SignalCurve;
  library.Curve.verify = (key, message, signature) => {
    try {
      return curve.verifySignature(Buffer.from(library.generateSignalPubKey(key)), message, signature) === true;
    } catch {
      return false;
    }
  };
  if (config.whatsapp_root_key) {
    const root = Buffer.from(config.whatsapp_root_key, 'hex');
    if (root.length !== 32) throw new UnfitDependency('whatsapp_root_key is not 32 bytes of hex');
    (library.WA_CERT_DETAILS as { PUBLIC_KEY: Buffer }).PUBLIC_KEY = root;
  }
  if (config.whatsapp_ca) {
    // Node would take anything here and fail at the first upload.
    new X509Certificate(config.whatsapp_ca);
    tls.setDefaultCACertificates([...tls.getCACertificates('default'), config.whatsapp_ca]);
  }
}
