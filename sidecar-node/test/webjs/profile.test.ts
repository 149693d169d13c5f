/** A profile on disk: which one is used, and whether the browser has it. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Link } from '../../src/engines/port.ts';
import { Profile } from '../../src/engines/webjs/profile.ts';

const NO_STORE = {} as Link;

test('a folder that was removed and made anew is not the profile that was prepared', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'profile-test-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const profile = new Profile(folder, 't/a', undefined);
  assert.equal(await profile.prepare(NO_STORE), true);
  assert.equal(await profile.isIntact(), true);
  // As the worker's sweep does; then Chromium makes what it misses.
  await rename(profile.folder, join(folder, '.swept'));
  assert.equal(await profile.isIntact(), false);
  await mkdir(profile.data, { recursive: true });
  assert.equal(await profile.isIntact(), false);
});

test('its marker says whose it is, and how often it was opened', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'profile-test-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const profile = new Profile(folder, 't/a', undefined);
  await profile.prepare(NO_STORE);
  const creds = await profile.opened();
  const again = new Profile(folder, 't/a', creds);
  assert.equal(await again.prepare(NO_STORE), true);
  await again.opened();
  const { generation, previous, session } = JSON.parse(await readFile(join(again.folder, 'profile.json'), 'utf8'));
  assert.deepEqual([generation, previous, session], [2, 1, 't/a']);
});
