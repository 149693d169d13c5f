/** Where one posts to whoever follows: channels, and the statuses of each person. */
import { Collection, createWid, Model } from './models.js';
import { me } from './state.js';

export const WAWebNewsletterCollection = new Collection();
export const Status = new Collection();
Status.getMyStatus = () => Status.get(me.pn);

/** A channel; the server says later what else there is to it. */
export function channelOf(wid) {
  const known = WAWebNewsletterCollection.get(wid);
  if (known) return known;
  const newsletterMetadata = new Model({ id: wid, membershipType: 'guest' });
  const mute = new Model({ expiration: 0 });
  return WAWebNewsletterCollection.add(
    new Model({ id: wid, name: '', t: 0, unreadCount: 0, mute, newsletterMetadata, msgs: new Collection() }),
  );
}

export function statusesOf(author) {
  return (
    Status.get(author) ??
    Status.add(new Model({ id: author, t: 0, totalCount: 0, unreadCount: 0, msgs: new Collection() }))
  );
}

/** Where a message was posted; undefined: it is one of a chat. */
export function homeOf({ id: { remote }, author }) {
  if (remote.isNewsletter()) return channelOf(remote);
  return remote.isStatus() ? statusesOf(createWid(author ?? me.pn)) : undefined;
}
