/** Labels of a business account, which its devices share: those that there are, and the chats that have them. */
import { jidOf, share } from './marks.js';
import { Collection, createWid, Model } from './models.js';
import { Chat, chatOf, keepChat } from './state.js';
import { erase, readAll, write } from './store.js';

export const Label = new Collection();

/** `actions`: `id`, and `add` or `remove` as its `type`. */
Label.addOrRemoveLabels = async (actions, chats) => {
  for (const chat of chats)
    for (const { id, type } of actions) {
      const labelAssociationAction = { labeled: type === 'add' };
      await share('regular', ['label_jid', id, jidOf(chat.id)], { labelAssociationAction });
      await labelled(chat, id, type === 'add');
    }
};

async function labelled(chat, id, on) {
  const others = (chat.labels ?? []).filter((each) => each !== id);
  chat.set({ labels: on ? [...others, id] : others });
  await keepChat(chat);
}

const hexOf = (color) => `#${(0x10_00_00 + color * 0x0b_5a_3d).toString(16).slice(-6)}`;

function put(id, { name = '', color = 0 }) {
  const fields = { name, colorIndex: color, hexColor: hexOf(color) };
  const known = Label.get(id);
  if (known) known.set(fields);
  else Label.add(new Model({ id, ...fields }));
}

/** Another device of the account changed a label, or what has it. */
export async function labelChanged([what, id, jid], { labelEditAction: edit, labelAssociationAction: association }) {
  if (what === 'label_jid') {
    const chat = createWid(jid);
    await labelled(Chat.get(chat) ?? chatOf(chat), id, association?.labeled === true);
  } else if (edit?.deleted) {
    await erase('labels', id);
    if (Label.get(id)) Label.remove(Label.get(id));
  } else if (edit) {
    await write('labels', id, { id, name: edit.name, color: edit.color });
    put(id, edit);
  }
}

/** What an earlier life of the page kept. */
export async function loadLabels() {
  for (const { id, ...label } of await readAll('labels')) put(id, label);
}
