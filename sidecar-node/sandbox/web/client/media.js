/** Files: prepared, uploaded to the sandbox, which encrypts and keeps them, and read from it. */

export class OpaqueData {
  constructor(blob) {
    this.blob = blob;
    this.type = blob.type;
  }

  static async createFromData(blob, mimetype) {
    return new OpaqueData(blob instanceof OpaqueData ? blob.blob : new Blob([blob], { type: mimetype }));
  }

  url() {
    return 'blob:sandbox';
  }

  autorelease() {
    return undefined;
  }

  formData() {
    return this.blob;
  }
}

function typeOf(mimetype, { asSticker, isPtt, asDocument }) {
  if (asSticker) return 'sticker';
  if (asDocument) return 'document';
  if (isPtt) return 'ptt';
  const kind = mimetype.split('/')[0];
  return ['image', 'video', 'audio'].includes(kind) ? kind : 'document';
}

class MediaData {
  constructor(fields) {
    Object.assign(this, fields);
  }

  set(fields) {
    Object.assign(this, fields);
  }

  toJSON() {
    const { mediaBlob: _blob, renderableUrl: _url, ...plain } = this;
    return plain;
  }
}

export function prepRawMedia(opaque, params) {
  return {
    waitForPrep: async () => {
      const bytes = await opaque.blob.arrayBuffer();
      const digest = await crypto.subtle.digest('SHA-256', bytes);
      const filehash = btoa(String.fromCharCode(...new Uint8Array(digest)));
      blobs.set(filehash, opaque.blob);
      return new MediaData({
        type: typeOf(opaque.type, params),
        mimetype: opaque.type,
        size: bytes.byteLength,
        filehash,
        isGif: params.asGif || undefined,
        mediaBlob: opaque,
      });
    },
  };
}

const objects = new Map();

export function getOrCreateMediaObject(filehash) {
  if (!objects.has(filehash)) {
    objects.set(filehash, {
      filehash,
      // WhatsApp Web draws a voice message's form itself; without one the library would decode the file for it.
      contentInfo: { waveform: new Uint8Array(64).fill(50) },
      consolidate(fields) {
        Object.assign(this, { type: fields.type, size: fields.size });
      },
    });
  }
  return objects.get(filehash);
}

/** The blobs that wait to be uploaded, by hash: what `uploadMedia` is told does not hold them. */
export const blobs = new Map();

async function upload(blob, type, more = '') {
  const answer = await fetch(`${SANDBOX.media}?type=${type}${more}`, { method: 'POST', body: blob });
  if (!answer.ok) throw new Error(`upload failed: ${answer.status}`);
  return await answer.json();
}

export async function uploadMedia({ mediaObject }) {
  const sealed = await upload(blobs.get(mediaObject.filehash), mediaObject.type);
  blobs.delete(mediaObject.filehash);
  const { url, directPath, mediaKey, encFilehash } = sealed;
  return {
    mediaEntry: { mmsUrl: url, deprecatedMms3Url: url, directPath, mediaKey, encFilehash, uploadHash: encFilehash },
  };
}

/** A channel's file; its post names the handle. */
export async function uploadUnencryptedMedia({ mediaObject }) {
  const { url, directPath, handle } = await upload(blobs.get(mediaObject.filehash), mediaObject.type, '&plain=1');
  blobs.delete(mediaObject.filehash);
  return { mediaEntry: { mmsUrl: url, deprecatedMms3Url: url, directPath, handle } };
}

export async function encryptAndUpload({ blob, type }) {
  return await upload(blob, type);
}

export const downloadManager = {
  async downloadAndMaybeDecrypt({ directPath, mediaKey, type }) {
    const query = new URLSearchParams({ type, path: directPath, key: mediaKey ?? '' });
    const answer = await fetch(`${SANDBOX.media}?${query}`);
    if (!answer.ok) throw Object.assign(new Error('download failed'), { status: answer.status });
    return await answer.arrayBuffer();
  },
};
