// The golden bytes of commands and events, read and rewritten byte for byte; tests/contract/make_golden.py wrote them.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { decode, encode } from '@msgpack/msgpack';

const folder = new URL('../../../tests/contract/golden/', import.meta.url);
const names = readdirSync(folder).filter((name) => /\.(msgpack|json)$/.test(name));

test('there are golden files in both forms', () => {
  const bare = (suffix: string) =>
    names.filter((name) => name.endsWith(suffix)).map((name) => name.slice(0, -suffix.length));
  assert.ok(bare('.json').length > 30);
  assert.deepEqual(bare('.msgpack').sort(), bare('.json').sort());
});

for (const name of names) {
  test(`${name} is rewritten to equal bytes`, () => {
    const raw = readFileSync(new URL(name, folder));
    const again = name.endsWith('.json')
      ? Buffer.from(JSON.stringify(JSON.parse(raw.toString('utf8'))))
      : Buffer.from(encode(decode(raw)));
    assert.deepEqual(again, raw);
  });
}
