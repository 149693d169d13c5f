/** Which machines a message can have us ask for its file: WhatsApp's, whatever it says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressOf, type Hosts } from '../../src/engines/baileys/media_places.ts';

const socket = { refreshMediaConn: async () => ({ hosts: [{ hostname: '127.0.0.1:8443' }] }) } as unknown as Hosts;

test('a file is fetched from WhatsApp, or a host that it told us', async () => {
  assert.equal(await addressOf(socket, '/v/a?b=c', undefined), 'https://mmg.whatsapp.net/v/a?b=c');
  const own = 'https://media-gru1-1.cdn.whatsapp.net/v/b';
  assert.equal(await addressOf(socket, '/v/a', own), 'https://media-gru1-1.cdn.whatsapp.net/v/a');
  assert.equal(await addressOf(socket, undefined, own), own);
  assert.equal(await addressOf(socket, '/v/a', 'https://127.0.0.1:8443/v/b'), 'https://127.0.0.1:8443/v/a');
});

test('a host that a message made up is not asked', async () => {
  for (const url of [
    'https://10.0.0.5/v/a',
    'https://127.0.0.1:9000/v/a',
    'http://mmg.whatsapp.net/v/a',
    'https://whatsapp.net.example.com/v/a',
    'https://examplewhatsapp.net/v/a',
    'https://mmg.whatsapp.net:8443/v/a',
    'https://mmg.whatsapp.net@example.com/v/a',
    'https://someone@mmg.whatsapp.net/v/a',
    'file:///etc/passwd',
    'no address',
  ]) {
    assert.equal(await addressOf(socket, '/v/a', url), 'https://mmg.whatsapp.net/v/a', url);
    await assert.rejects(addressOf(socket, undefined, url), { code: 'E_MEDIA_NOT_FOUND' }, url);
  }
  for (const path of ['@example.com/v/a', '.example.com/v/a', ':9000/v/a', 'v/a'])
    await assert.rejects(addressOf(socket, path, undefined), { code: 'E_MEDIA_NOT_FOUND' }, path);
});
