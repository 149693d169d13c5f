/** Where files may be fetched from. A message is its sender's own: it could name any machine that we reach. */
import { DEF_MEDIA_HOST, type WASocket } from 'baileys';
import { ActionError } from '../../protocol.ts';

export type Hosts = Pick<WASocket, 'refreshMediaConn'>;

/** The address of a file that a message names: at WhatsApp, or at the hosts that it told us. Rejects with E_MEDIA_NOT_FOUND. */
export async function addressOf(socket: Hosts, path: string | undefined, url: string | undefined): Promise<string> {
  const named = url && URL.canParse(url) ? new URL(url) : undefined;
  const isTrusted = named !== undefined && (await trusts(socket, named));
  if (path) {
    // It follows a host: anything else than a slash would go on with the name of one.
    if (!path.startsWith('/')) throw new ActionError('E_MEDIA_NOT_FOUND', 'its path is none');
    return `https://${isTrusted ? named.host : DEF_MEDIA_HOST}${path}`;
  }
  if (!isTrusted) throw new ActionError('E_MEDIA_NOT_FOUND', 'it does not lie at WhatsApp');
  return named.href;
}

async function trusts(socket: Hosts, { protocol, host, username }: URL): Promise<boolean> {
  if (protocol !== 'https:' || username) return false;
  if (host.endsWith('.whatsapp.net')) return true;
  const { hosts } = await socket.refreshMediaConn(false);
  return hosts.some(({ hostname }) => hostname === host);
}
