/** A session's proxy: everything that it says to WhatsApp goes through it, or not at all. */
import { Agent as HttpAgent } from 'node:http';
import https, { type Agent } from 'node:https';
import type { Readable } from 'node:stream';
import tls, { type PeerCertificate } from 'node:tls';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { SocksProxyAgent } from 'socks-proxy-agent';
import { redact } from '../../logs.ts';
import { ActionError } from '../../protocol.ts';

/** An agent that remembers how its proxy last failed. */
export interface ProxyAgent extends Agent {
  /** Why no connection came about through it; undefined after one did. */
  failure: string | undefined;
}

type HttpConnect = HttpsProxyAgent<string>['connect'];
type SocksConnect = SocksProxyAgent['connect'];

/** The libraries leave the name out, and then an address (no name) would be checked as `localhost`. */
function checked<Options extends Parameters<HttpConnect>[1]>(options: Options): Options {
  const checkServerIdentity = (_: string, certificate: PeerCertificate): Error | undefined =>
    tls.checkServerIdentity(options.host ?? '', certificate);
  return { ...options, checkServerIdentity };
}

class ViaHttp extends HttpsProxyAgent<string> {
  readonly secure: boolean;
  failure: string | undefined;
  #answered = 0;

  constructor(proxy: string, secure: boolean) {
    super(proxy, { keepAlive: false });
    this.secure = secure;
    // An answer other than 200 is not an error to the library: it comes as if the server had said it.
    this.on('proxyConnect', ({ statusCode }: { statusCode: number }) => {
      this.#answered = statusCode;
    });
  }

  override isSecureEndpoint(): boolean {
    return this.secure;
  }

  override async connect(...[request, options]: Parameters<HttpConnect>): ReturnType<HttpConnect> {
    try {
      this.failure = undefined;
      const socket = await super.connect(request, checked(options));
      if (this.#answered === 200) return socket;
      socket.destroy();
      throw new Error(`the proxy answers ${this.#answered}`);
    } catch (error) {
      this.failure = reason(error);
      throw error;
    }
  }
}

class ViaSocks extends SocksProxyAgent {
  readonly secure: boolean;
  failure: string | undefined;

  constructor(proxy: string, secure: boolean) {
    super(proxy, { keepAlive: false });
    this.secure = secure;
  }

  /** Else the library looks for it in the stack, which is cut short here. */
  override isSecureEndpoint(): boolean {
    return this.secure;
  }

  override async connect(...[request, options]: Parameters<SocksConnect>): ReturnType<SocksConnect> {
    try {
      const socket = await super.connect(request, checked(options));
      this.failure = undefined;
      return socket;
    } catch (error) {
      this.failure = reason(error);
      throw error;
    }
  }
}

function reason(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return redact(code ?? message ?? 'it cannot be reached');
}

/** `secure`: TLS to the server behind it. For `http://`, `https://`, `socks5://` (names are looked up here) and `socks5h://` (by the proxy). */
export function proxyAgent(proxy: string, secure: boolean): ProxyAgent {
  const { protocol } = new URL(proxy);
  const agent = protocol.startsWith('socks') ? new ViaSocks(proxy, secure) : new ViaHttp(proxy, secure);
  return agent as unknown as ProxyAgent;
}

/**
 * Baileys downloads by `fetch`, which takes no agent of Node's; handed one as its dispatcher, this does it by `https`.
 * Otherwise files would come past the proxy.
 */
export function fetchThroughAgents(): void {
  const plain = globalThis.fetch;
  globalThis.fetch = ((input: string | URL, init?: RequestInit & { dispatcher?: unknown }) => {
    const agent = init?.dispatcher;
    if (!(agent instanceof HttpAgent)) return plain(input, init);
    return get(new URL(input), agent as unknown as ProxyAgent, init?.headers as Record<string, string> | undefined);
  }) as typeof fetch;
}

/** As much of a response as Baileys reads: `ok`, `status` and the body as Node's stream. */
function get(url: URL, agent: ProxyAgent, headers: Record<string, string> = {}): Promise<Response> {
  return new Promise((resolve, reject) => {
    const request = https.get(url, { agent, headers }, (response) => {
      const { statusCode: status = 0 } = response;
      const ok = status >= 200 && status < 300;
      if (!ok) response.resume();
      resolve({ ok, status, body: response as Readable } as unknown as Response);
    });
    request.on('error', (error) => {
      reject(agent.failure ? new ActionError('E_PROXY_FAILED', agent.failure) : error);
    });
  });
}
