/** Bare Baileys, as its own process: pairs, sends N texts one after the other, prints what each took. */
import { silenceConsole } from '../../../src/logs.ts';

const [url = '', root = '', httpUrl = '', number = '', contact = '', count = '500', mode = 'send'] =
  process.argv.slice(2);
const log = (line: string): void => void process.stdout.write(`${line}\n`);
silenceConsole();
const { default: makeWASocket, Curve, WA_CERT_DETAILS, initAuthCreds, proto } = await import('baileys');
Curve.verify = () => true;
(WA_CERT_DETAILS as { PUBLIC_KEY: Buffer }).PUBLIC_KEY = Buffer.from(root, 'hex');
const quiet = (): void => {};
const logger = {
  level: 'silent',
  child: () => logger,
  trace: quiet,
  debug: quiet,
  info: quiet,
  warn: quiet,
  error: quiet,
};
const rows = new Map<string, unknown>();
const creds = initAuthCreds();
const keys = {
  get: async (kind: string, ids: string[]) =>
    Object.fromEntries(ids.flatMap((id) => (rows.has(`${kind}/${id}`) ? [[id, rows.get(`${kind}/${id}`)]] : []))),
  set: async (data: Record<string, Record<string, unknown>>) => {
    for (const [kind, values] of Object.entries(data))
      for (const [id, value] of Object.entries(values)) {
        if (value === null) rows.delete(`${kind}/${id}`);
        else rows.set(`${kind}/${id}`, value);
      }
  },
};
const connect = () =>
  makeWASocket({
    waWebSocketUrl: url,
    auth: { creds, keys: keys as never },
    logger: logger as never,
    shouldSyncHistoryMessage: () => false,
    emitOwnEvents: false,
    getMessage: async () => proto.Message.create({}),
  });
let socket = connect();
await new Promise<void>((resolve) => {
  const listen = (): void =>
    socket.ev.on('connection.update', (update) => {
      if (update.qr)
        void fetch(`${httpUrl}/api/phones/${encodeURIComponent(number)}/scan`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ qr: update.qr }),
        });
      if (update.connection === 'close') {
        socket = connect();
        listen();
      }
      if (update.connection === 'open') resolve();
    });
  listen();
});
if (mode === 'receive') {
  let received = 0;
  let before = process.cpuUsage();
  let at = 0;
  socket.ev.on('messages.upsert', ({ messages }) => {
    if (received === 0) {
      before = process.cpuUsage();
      at = performance.now();
    }
    received += messages.length;
    if (received < Number(count)) return;
    const cpu = process.cpuUsage(before);
    log(
      JSON.stringify({
        a_second: (received / (performance.now() - at)) * 1000,
        cpu: (cpu.user + cpu.system) / 1000 / received,
      }),
    );
    process.exit(0);
  });
  await fetch(`${httpUrl}/api/contacts/${encodeURIComponent(contact)}/send`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ to: number, type: 'text', text: 'message', count: Number(count) }),
  });
  await new Promise(() => {});
}
const waiting = new Map<string, () => void>();
socket.ws.on('CB:ack,class:message', (node: { attrs: { id: string } }) => waiting.get(node.attrs.id)?.());
const send = async (n: number): Promise<void> => {
  const id = `3EB0${String(n).padStart(18, '0')}`;
  const acked = new Promise<void>((resolve) => waiting.set(id, resolve));
  await socket.sendMessage(`${contact.slice(1)}@s.whatsapp.net`, { text: `message ${n}` }, { messageId: id });
  await acked;
  waiting.delete(id);
};
for (let n = 0; n < 50; n++) await send(n);
const before = process.cpuUsage();
const times: number[] = [];
for (let n = 50; n < 50 + Number(count); n++) {
  const at = performance.now();
  await send(n);
  times.push(performance.now() - at);
}
const cpu = process.cpuUsage(before);
times.sort((a, b) => a - b);
log(
  JSON.stringify({
    p50: times[times.length >> 1],
    p95: times[Math.floor(times.length * 0.95)],
    cpu: (cpu.user + cpu.system) / 1000 / times.length,
  }),
);
process.exit(0);
