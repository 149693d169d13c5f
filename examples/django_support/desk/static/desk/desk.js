/** The page: its state is what the socket told; every change of it is drawn anew. */
const chats = new Map(); // "session/key" → ChatInfo
const sessions = new Map(); // id → status
const said = new Map(); // as `chats` → its messages, oldest first: of the record, and those that came since
let open; // the key in `chats` of the conversation that is shown
let waiting = []; // acts made while the socket was away, sent again under their ids
let socket;

const $ = (selector) => document.querySelector(selector);
const TICKS = { accepted: '…', queued: '…', sent: '✓', delivered: '✓✓', read: '✓✓ read', played: '✓✓ read' };

function connect() {
  socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/live/`);
  socket.onopen = () => {
    if (shown()) act(about({ do: 'open' }));
    waiting.splice(0).forEach(act);
  };
  socket.onmessage = ({ data }) => hear(JSON.parse(data));
  socket.onclose = ({ code }) => (code === 4401 ? location.reload() : setTimeout(connect, 1000));
}

function act(what) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(what));
  else waiting.push(what);
}

const placeOf = ({ session_id, chat }) => `${session_id}/${chat.key}`;
const shown = () => chats.get(open);
const about = (what) => {
  const { session_id: session, chat } = shown();
  return { ...what, session, chat: chat.key, to: chat.pn ?? (chat.lid ? `lid:${chat.lid}` : chat.group) };
};

function hear(event) {
  const { data, session_id } = event;
  if (event.event === 'look') {
    for (const one of event.sessions) sessions.set(one.session_id, one.status);
    for (const chat of event.chats) chats.set(placeOf(chat), chat);
  } else if (event.event === 'open') {
    // The record is a moment behind: what this page heard meanwhile stays.
    const ids = new Set(event.messages.map(({ id }) => id));
    said.set(event.place, [...event.messages, ...(said.get(event.place) ?? []).filter(({ id }) => !ids.has(id))]);
  } else if (event.event === 'refused') {
    $('#notice').textContent = [event.code, event.message].filter(Boolean).join(': ');
  } else if (event.event === 'session') {
    sessions.set(session_id, data.status);
    if (data.status === 'WORKING') $('#qr').hidden = true;
  } else if (event.event === 'qr') {
    $('#qr img').src = data.image;
    $('#qr').hidden = false;
  } else if (event.event === 'chat') {
    const { chat, status, owner_id } = data;
    const place = placeOf({ session_id, chat });
    chats.set(place, { ...chats.get(place), session_id, chat, status, owner_id });
  } else if (event.event === 'message') {
    const place = placeOf({ session_id, chat: data.chat });
    const known = chats.get(place) ?? { session_id, chat: data.chat, status: 'new' };
    chats.set(place, data.from_self ? known : { ...known, name: data.from.name ?? known.name });
    said.set(place, [...(said.get(place) ?? []).filter(({ id }) => id !== data.id), data]);
  } else if (event.event === 'status') {
    const sent = [...said.values()].flat().find(({ id }) => id === data.message_id);
    if (sent) sent.status = data.status;
  }
  draw();
}

function item(text, under) {
  const made = document.createElement('li');
  made.append(text);
  if (under) made.append(Object.assign(document.createElement('small'), { textContent: under }));
  return made;
}

function draw() {
  $('#sessions').replaceChildren(...[...sessions].map(([id, status]) => item(`${id}: ${status}`)));
  for (const column of document.querySelectorAll('section[data-status]')) {
    const cards = [...chats].filter(([, chat]) => chat.status === column.dataset.status);
    column.querySelector('ul').replaceChildren(...cards.map(([place, chat]) => card(place, chat)));
  }
  $('#conversation').hidden = !shown();
  if (!shown()) return;
  $('#conversation h2').textContent = nameOf(shown());
  $('#conversation ol').replaceChildren(
    ...(said.get(open) ?? []).map((message) => {
      const { from_self: own, status = 'sent' } = message;
      const made = item(wordsOf(message), own ? (TICKS[status] ?? status) : undefined);
      made.classList.toggle('own', own);
      return made;
    }),
  );
  $('#conversation ol').scrollTop = 1e9;
}

const nameOf = ({ name, chat }) => name ?? chat.pn ?? chat.lid ?? chat.group;
const wordsOf = (message) => message[message.type]?.body ?? message[message.type]?.caption ?? `[${message.type}]`;

function card(place, chat) {
  const button = document.createElement('button');
  button.append(nameOf(chat), Object.assign(document.createElement('small'), { textContent: chat.owner_id ?? '' }));
  button.onclick = () => {
    open = place;
    act(about({ do: 'open' }));
    draw();
  };
  const made = document.createElement('li');
  made.append(button);
  return made;
}

$('#start').onsubmit = (event) => {
  event.preventDefault();
  act({ do: 'start', session: event.target.session.value });
  event.target.reset();
};
$('#answer').onsubmit = (event) => {
  event.preventDefault();
  act(about({ do: 'send', id: crypto.randomUUID(), text: event.target.text.value }));
  event.target.reset();
};
for (const button of document.querySelectorAll('[data-do]')) button.onclick = () => act(about({ do: button.dataset.do }));
connect();
