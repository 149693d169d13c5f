/** Contact cards as vCards: what is written is read back, and strangers' cards are read in time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameOf, read, write } from '../../src/engines/vcard.ts';

const CARD = {
  name: { formatted_name: 'Ana; Lima, \\ 2', first_name: 'A;na', last_name: '', prefix: 'Dra.' },
  phones: [{ phone: '+55 11 91111-1111', type: 'WORK', wa_id: '5511911111111' }],
  emails: [{ email: 'ana@example.org', type: 'WORK' }],
  addresses: [{ street: 'Rua A, 1; fundos\\', zip: '01000-000', type: 'HOME' }, { city: 'Linha 1\nLinha 2' }],
  org: { company: 'ACME; Filho', department: 'Vendas', title: 'Gerente' },
  urls: [{ url: 'https://example.org/?a=1;b=2,3' }],
  birthday: '1990-01-31',
};

test('a card comes back whole', () => {
  const { last_name: _, ...name } = CARD.name;
  assert.deepEqual(read(nameOf(CARD), write(CARD)), { ...CARD, name });
});

test('a card without anything but a name', () => {
  assert.deepEqual(read('Bia', write({ name: { formatted_name: 'Bia' } })), { name: { formatted_name: 'Bia' } });
});

test('cards of strangers', () => {
  const folded = 'BEGIN:VCARD\r\nitem1.TEL;waid=55119:+55\r\n 119\r\nFN:Cé\r\n lia\r\nEND:VCARD\r\n';
  assert.deepEqual(read(null, folded), {
    name: { formatted_name: 'Célia' },
    phones: [{ phone: '+55119', wa_id: '55119' }],
  });
  assert.deepEqual(read('', ''), { name: { formatted_name: '?' } });
  assert.equal((read(null, `FN:x\nN:${'\\'.repeat(200_001)}\nADR:${';'.repeat(200_000)}`).addresses as []).length, 1);
});
