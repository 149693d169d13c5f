/** The Baileys engine: hardens the libraries, then loads what imports them. */
import { createRequire } from 'node:module';
import type { EngineFactory } from '../port.ts';
import { hardenLibrary, patchSources } from './harden.ts';
import { fetchThroughAgents } from './proxies.ts';

const ACTIONS = [
  'send',
  'react',
  'edit',
  'delete',
  'pin',
  'disappearing',
  'read',
  'presence',
  'check_numbers',
  'media.get',
];
/** Ways to send that not every engine knows (`contracts/capabilities.py` names them). */
const FEATURES = [
  'forward',
  'reply',
  'view_once',
  'gif',
  'mentions',
  'link_preview',
  'disappear_after',
  'delete_for_me',
  'message_labels',
  'status_audience',
  'group_approval',
  'group_disappearing',
];

export const makeBaileysEngine: EngineFactory = async (config) => {
  patchSources();
  const library = await import('baileys');
  hardenLibrary(library, config);
  fetchThroughAgents();
  const [{ BaileysSession }, { KINDS }, { ASKS }, { POSTS }] = await Promise.all([
    import('./session.ts'),
    import('./content.ts'),
    import('./asks.ts'),
    import('./posts.ts'),
  ]);
  const { version } = createRequire(import.meta.url)('baileys/package.json') as { version: string };
  return {
    version,
    capabilities: [...KINDS, ...ACTIONS, ...ASKS, ...FEATURES, ...POSTS],
    open: (frame, link) => new BaileysSession(frame, link, config),
  };
};
