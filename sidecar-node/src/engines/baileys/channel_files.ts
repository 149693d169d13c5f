/** Files of channels: not encrypted, kept where chats do not look, each with a handle that its post has to name. */
import { rm } from 'node:fs/promises';
import type { Agent } from 'node:https';
import type { Readable } from 'node:stream';
import {
  DEFAULT_ORIGIN,
  encodeBase64EncodedStringForUpload,
  getHttpStream,
  uploadWithNodeHttp,
  type WASocket,
} from 'baileys';
import { errorText } from '../../logs.ts';
import { ActionError } from '../../protocol.ts';
import { throughProxy } from './socket.ts';

/** Under `/newsletter`; Baileys knows chats' places only, from which a channel's post is refused (479). */
const PLACES: Readonly<Record<string, string>> = {
  image: 'newsletter-image',
  video: 'newsletter-video',
  audio: 'newsletter-audio',
  document: 'newsletter-document',
  sticker: 'newsletter-image',
};

type Upload = WASocket['waUploadToServer'];
type Given = Parameters<Upload>[1];

export interface Uploaded extends Awaited<ReturnType<Upload>> {
  handle: string;
}

/** In place of `waUploadToServer`. The file at `path` is left to the caller, or gone with an error. */
export async function uploadToChannel(socket: WASocket, path: string, given: Given): Promise<Uploaded> {
  try {
    return await uploaded(socket, path, given);
  } catch (error) {
    await rm(path, { force: true }); // Baileys forgets it there
    throw error;
  }
}

async function uploaded(socket: WASocket, filePath: string, given: Given): Promise<Uploaded> {
  const place = PLACES[given.mediaType];
  if (!place) throw new ActionError('E_UNSUPPORTED_TYPE', given.mediaType);
  const { auth, hosts } = await socket.refreshMediaConn(false);
  const token = encodeBase64EncodedStringForUpload(given.fileEncSha256B64);
  const headers = { 'Content-Type': 'application/octet-stream', Origin: DEFAULT_ORIGIN };
  const { dispatcher: agent } = throughProxy(socket) as { dispatcher?: Agent };
  let reason = 'no host takes files';
  for (const { hostname } of hosts) {
    const url = `https://${hostname}/newsletter/${place}/${token}?auth=${encodeURIComponent(auth)}&token=${token}`;
    try {
      const answer = (await uploadWithNodeHttp({
        url,
        filePath,
        headers,
        ...(given.timeoutMs ? { timeoutMs: given.timeoutMs } : {}),
        ...(agent ? { agent } : {}),
      })) as { url?: string; direct_path?: string; handle?: string } | undefined;
      if (answer?.direct_path && answer.handle)
        return { mediaUrl: answer.url ?? '', directPath: answer.direct_path, handle: answer.handle };
      reason = 'the host does not say where the file is';
    } catch (error) {
      reason = errorText(error);
    }
    await socket.refreshMediaConn(true);
  }
  throw new ActionError('E_MEDIA_UPLOAD_FAILED', reason);
}

/** A file without a key is a channel's; what proves it is the hash that its post tells. */
export async function openChannelFile(
  socket: WASocket,
  url: string,
  sha256: Uint8Array | undefined,
): Promise<Readable> {
  if (!sha256?.length) throw new ActionError('E_MEDIA_CORRUPT', 'nothing says what the file should be');
  const headers = { Origin: DEFAULT_ORIGIN };
  return getHttpStream(url, { ...throughProxy(socket), headers } as RequestInit & { isStream?: true });
}
