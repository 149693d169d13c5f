import './quiet.ts';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { WebSocketServer } from 'ws';
import { Connection } from './connection.ts';
import { Control } from './control.ts';
import { Sandbox, type SandboxOptions } from './sandbox.ts';
import { PageConnection } from './web/page_connection.ts';

export interface Ready {
  readonly ws_url: string;
  readonly root_key: string;
  readonly media_ca: string;
  readonly media_url: string;
  readonly http_url: string;
}

const MAX_FRAME = 16 * 1024 * 1024;

/** Starts the three listeners (on loopback, unless told otherwise): WebSocket, media host, control interface. */
export async function startServer(
  options: SandboxOptions,
): Promise<{ ready: Ready; sandbox: Sandbox; stop: () => void }> {
  const sandbox = new Sandbox(options);
  await sandbox.media.start();
  const http = createServer((request, response) => {
    if (!sandbox.pages.answer(request, response)) response.writeHead(426).end();
  });
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_FRAME, perMessageDeflate: false });
  http.on('upgrade', (request, socket, head) => {
    const made = { '/ws/chat': Connection, '/ws/web': PageConnection }[request.url ?? ''];
    if (!made || sandbox.faults.take('refuse_connect', '')) return void socket.destroy();
    sockets.handleUpgrade(request, socket, head, (client) => new made(sandbox, client));
  });
  await new Promise<void>((resolve, reject) => {
    http.once('error', reject);
    http.listen(options.wsPort, options.bind, resolve);
  });
  const control = new Control(sandbox);
  const httpUrl = await control.start(options.httpPort);
  sandbox.phones.start();
  writeFileSync(join(options.dataDir, 'root_key'), `${sandbox.identity.rootKey}\n`);
  return {
    sandbox,
    ready: {
      ws_url: `ws://${options.name}:${(http.address() as AddressInfo).port}/ws/chat`,
      root_key: sandbox.identity.rootKey,
      media_ca: sandbox.media.caPath,
      media_url: `https://${sandbox.media.host}`,
      http_url: httpUrl,
    },
    stop: () => {
      control.stop();
      sandbox.phones.stop();
      for (const connection of sandbox.connections) connection.destroy();
      sockets.close();
      http.close();
      sandbox.media.stop();
      sandbox.store.close();
    },
  };
}
