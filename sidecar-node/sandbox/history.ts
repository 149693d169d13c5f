import { deflateSync } from 'node:zlib';
import { proto } from 'baileys/WAProto/index.js';
import type { Companion } from './companions.ts';
import { phoneMessageId } from './content.ts';
import type { Sandbox } from './sandbox.ts';
import { pnJid } from './wire.ts';

const MESSAGES = 500;

interface Row {
  at: number;
  kind: string;
  contact: string;
  id: string;
  content: Uint8Array;
}

/**
 * What an account's phone sends to a device that was just linked: the chats so far. Only with `--history`, since a
 * client that wants none does not miss it, and one that waits for it waits twenty seconds.
 */
export function historyFor(sandbox: Sandbox, companion: Companion): { id: string; message: proto.IMessage } {
  const rows = sandbox.store.all<Row>(
    `SELECT at, kind, contact, id, content FROM journal WHERE account = ? AND kind IN ('message', 'inbound') AND content IS NOT NULL
     ORDER BY seq DESC LIMIT ?`,
    companion.number,
    MESSAGES,
  );
  const chats = new Map<string, proto.IHistorySyncMsg[]>();
  for (const row of rows) {
    const remoteJid = pnJid(row.contact);
    const key = { remoteJid, fromMe: row.kind === 'message', id: row.id };
    const message = { key, message: proto.Message.decode(row.content), messageTimestamp: Math.floor(row.at / 1000) };
    chats.set(row.contact, [...(chats.get(row.contact) ?? []), { message }]);
  }
  const history = proto.HistorySync.encode({
    syncType: proto.HistorySync.HistorySyncType.INITIAL_BOOTSTRAP,
    chunkOrder: 1,
    progress: 100,
    conversations: [...chats].map(([contact, messages]) => ({
      id: pnJid(contact),
      name: sandbox.people.ensure(contact).name,
      messages,
    })),
  }).finish();
  const historySyncNotification = {
    syncType: proto.Message.HistorySyncType.INITIAL_BOOTSTRAP,
    initialHistBootstrapInlinePayload: deflateSync(history),
    chunkOrder: 1,
    progress: 100,
  };
  return {
    id: phoneMessageId(),
    message: {
      protocolMessage: { type: proto.Message.ProtocolMessage.Type.HISTORY_SYNC_NOTIFICATION, historySyncNotification },
    },
  };
}
