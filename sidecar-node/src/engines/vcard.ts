/** A contact card of the contracts (`ContactCard`) as a vCard 3.0 (RFC 2426), and back. */

type Fields = Record<string, unknown>;

const ADDRESS = ['street', 'city', 'state', 'zip', 'country'] as const;
const NAME = ['last_name', 'first_name', 'middle_name', 'prefix', 'suffix'] as const;
const FOLDED = /\r?\n[ \t]/g;

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const escaped = (value: unknown): string =>
  text(value)
    .replace(/[\\,;]/g, '\\$&')
    .replace(/\r\n|\r|\n/g, '\\n');
const plain = (value: string): string =>
  value.replace(/\\(.)/g, (_, sign: string) => (sign === 'n' || sign === 'N' ? '\n' : sign));
/** A parameter's value holds no separators. */
const typed = (type: unknown): string => {
  const word = text(type).replace(/[^\w-]/g, '');
  return word ? `;TYPE=${word}` : '';
};

export function nameOf(card: Fields): string {
  const name = (card.name ?? {}) as Fields;
  return text(card.name) || text(name.formatted_name) || text(name.first_name);
}

export function write(card: Fields): string {
  if (text(card.vcard)) return text(card.vcard);
  const name = (card.name ?? {}) as Fields;
  const lines = [
    'BEGIN:VCARD',
    'VERSION:3.0',
    `N:${NAME.map((part) => escaped(name[part])).join(';')}`,
    `FN:${escaped(nameOf(card))}`,
  ];
  const each = (field: string, line: (item: Fields) => string): void => {
    for (const item of (card[field] ?? []) as Fields[]) lines.push(line(item));
  };
  each('phones', (phone) => {
    const waId = text(phone.wa_id) || text(phone.phone).replace(/\D/g, '');
    return `TEL${typed(phone.type ?? 'CELL')}${waId ? `;waid=${waId.replace(/\D/g, '')}` : ''}:${escaped(phone.phone ?? phone.wa_id)}`;
  });
  each('emails', (email) => `EMAIL${typed(email.type)}:${escaped(email.email)}`);
  each(
    'addresses',
    (address) => `ADR${typed(address.type)}:;;${ADDRESS.map((part) => escaped(address[part])).join(';')}`,
  );
  const org = card.org as Fields | undefined;
  if (org) {
    lines.push(`ORG:${escaped(org.company)};${escaped(org.department)}`);
    if (text(org.title)) lines.push(`TITLE:${escaped(org.title)}`);
  }
  each('urls', (url) => `URL${typed(url.type)}:${escaped(url.url)}`);
  if (text(card.birthday)) lines.push(`BDAY:${text(card.birthday)}`);
  return [...lines, 'END:VCARD'].join('\n');
}

interface Line {
  name: string;
  type: string | undefined;
  waId: string | undefined;
  /** Without its escapes; `parts` are its components. */
  value: string;
  parts: string[];
}

function parse(line: string): Line | undefined {
  const found = /^(?:[\w-]+\.)?([A-Za-z-]+)((?:;[^:]*)?):(.*)$/s.exec(line);
  if (!found) return undefined;
  const [, name = '', parameters = '', value = ''] = found;
  const type = /;(?:TYPE=)?(?!waid=)([\w-]+)/i.exec(parameters)?.[1];
  const parts = (`${value};`.match(/(?:[^\\;]|\\.)*;/gs) ?? []).map((part) => plain(part.slice(0, -1)));
  return {
    name: name.toUpperCase(),
    type: type && !/^(voice|pref)$/i.test(type) ? type : undefined,
    waId: /waid=(\d+)/i.exec(parameters)?.[1],
    value: plain(value),
    parts,
  };
}

const filled = (fields: Fields): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== ''));
const byParts = (names: readonly string[], parts: string[]): Fields =>
  filled(Object.fromEntries(names.map((name, at) => [name, parts[at]])));

/** Whatever the card holds beside these is left out; `displayName` is the sender's name for it. */
export function read(displayName: string | null | undefined, vcard: string | null | undefined): Fields {
  const lines = (vcard ?? '').replace(FOLDED, '').split(/\r?\n/).map(parse);
  const all = (name: string): Line[] => lines.filter((line): line is Line => line?.name === name);
  const [n, fn, org, title, birthday] = ['N', 'FN', 'ORG', 'TITLE', 'BDAY'].map((name) => all(name)[0]);
  const list = (name: string, field: string): Fields[] =>
    all(name).map(({ value, type }) => filled({ [field]: value, type }));
  const card: Fields = {
    name: { formatted_name: displayName || fn?.value || '?', ...byParts(NAME, n?.parts ?? []) },
    phones: all('TEL').map(({ value, type, waId }) => filled({ phone: value, type, wa_id: waId })),
    emails: list('EMAIL', 'email'),
    addresses: all('ADR').map(({ parts, type }) => filled({ ...byParts(ADDRESS, parts.slice(2)), type })),
    org: org && filled({ company: org.parts[0], department: org.parts[1], title: title?.value }),
    urls: list('URL', 'url'),
    birthday: /^\d{4}-\d{2}-\d{2}$/.test(birthday?.value ?? '') ? birthday?.value : undefined,
  };
  return Object.fromEntries(
    Object.entries(card).filter(([, value]) => value !== undefined && (value as unknown[]).length !== 0),
  );
}
