/** Interactive messages in the Cloud API's shapes: as native flows out, and what comes in of any age. */
import type { BinaryNode, proto } from 'baileys';
import { ActionError } from '../../protocol.ts';

type Fields = Record<string, unknown>;
type NativeButton = { name: string; buttonParamsJson: string };

/** The sub-types that `interactiveOf` makes. */
export const INTERACTIVE_KINDS = ['button', 'list', 'cta_url', 'location_request_message'];

/** WhatsApp shows a native flow of a number that is no business API's only with this beside it. */
export const BUSINESS_NODE: BinaryNode = {
  tag: 'biz',
  attrs: {},
  content: [
    {
      tag: 'interactive',
      attrs: { type: 'native_flow', v: '1' },
      content: [{ tag: 'native_flow', attrs: { v: '9', name: 'mixed' } }],
    },
  ],
};

const button = (name: string, parameters: Fields): NativeButton => ({
  name,
  buttonParamsJson: JSON.stringify(parameters),
});

const BUTTONS: Record<string, (action: Fields) => NativeButton[]> = {
  button: ({ buttons }) =>
    (buttons as { reply: Fields }[]).map(({ reply }) =>
      button('quick_reply', { display_text: reply.title, id: reply.id }),
    ),
  list: ({ button: title, sections }) => [
    button('single_select', {
      title,
      sections: (sections as Fields[]).map((section) => ({
        title: section.title ?? '',
        rows: (section.rows as Fields[]).map(({ id, title: name, description }) => ({
          header: '',
          id,
          title: name,
          description: description ?? '',
        })),
      })),
    }),
  ],
  cta_url: ({ parameters }) => {
    const { display_text, url } = parameters as Fields;
    return [button('cta_url', { display_text, url, merchant_url: url })];
  },
  location_request_message: () => [button('send_location', {})],
};

export function interactiveOf(body: Fields): proto.IMessage {
  const kind = String(body.type);
  const header = body.header as Fields | undefined;
  const buttons = BUTTONS[kind];
  if (!buttons) throw new ActionError('E_UNSUPPORTED_TYPE', `interactive ${kind.slice(0, 40)}`);
  if (header && header.type !== 'text') throw new ActionError('E_UNSUPPORTED_TYPE', 'a file as a header');
  const said = (part: unknown): { text: string } => ({ text: String((part as Fields | undefined)?.text ?? '') });
  return {
    interactiveMessage: {
      header: { title: String(header?.text ?? ''), hasMediaAttachment: false },
      body: said(body.body),
      footer: said(body.footer),
      nativeFlowMessage: { buttons: buttons((body.action ?? {}) as Fields), messageVersion: 1 },
    },
  };
}

function parameters(json: string | null | undefined): Fields {
  try {
    const value: unknown = JSON.parse(json ?? '');
    return typeof value === 'object' && value !== null ? (value as Fields) : {};
  } catch {
    return {};
  }
}

function frame(type: string, header: unknown, body: unknown, footer: unknown, action: Fields): Fields {
  return {
    type,
    ...(header ? { header: { type: 'text', text: header } } : {}),
    ...(body ? { body: { text: body } } : {}),
    ...(footer ? { footer: { text: footer } } : {}),
    action,
  };
}

const replies = (titles: { id: unknown; title: unknown }[]): Fields => ({
  buttons: titles.map(({ id, title }) => ({ type: 'reply', reply: { id: id ?? '', title: title ?? '' } })),
});

const rows = (list: Fields[], id: string): Fields[] =>
  list.map((row) => ({
    id: row[id] ?? '',
    title: row.title ?? '',
    ...(row.description ? { description: row.description } : {}),
  }));

/** What a business sent; undefined for a form that is none of ours. */
function native({ header, body, footer, nativeFlowMessage }: proto.Message.IInteractiveMessage): Fields | undefined {
  const buttons = nativeFlowMessage?.buttons ?? [];
  const first = buttons[0];
  const about = parameters(first?.buttonParamsJson);
  const wrap = (type: string, action: Fields): Fields => frame(type, header?.title, body?.text, footer?.text, action);
  switch (first?.name) {
    case 'quick_reply': {
      const quick = buttons
        .filter(({ name }) => name === 'quick_reply')
        .map((each) => parameters(each.buttonParamsJson));
      return wrap('button', replies(quick.map(({ id, display_text }) => ({ id, title: display_text }))));
    }
    case 'single_select': {
      const sections = (Array.isArray(about.sections) ? about.sections : []) as Fields[];
      return wrap('list', {
        button: about.title ?? '',
        sections: sections.map((section) => ({
          rows: rows((Array.isArray(section.rows) ? section.rows : []) as Fields[], 'id'),
          ...(section.title ? { title: section.title } : {}),
        })),
      });
    }
    case 'cta_url':
      return wrap('cta_url', { name: 'cta_url', parameters: { display_text: about.display_text, url: about.url } });
    case 'send_location':
      return wrap('location_request_message', { name: 'send_location' });
    default:
      return undefined;
  }
}

function classicList(list: proto.Message.IListMessage): Fields {
  return frame('list', list.title, list.description, list.footerText, {
    button: list.buttonText ?? '',
    sections: (list.sections ?? []).map((section) => ({
      rows: rows((section.rows ?? []) as Fields[], 'rowId'),
      ...(section.title ? { title: section.title } : {}),
    })),
  });
}

/** An interactive message as the Cloud API would have it sent. */
export function interactiveFrom(content: proto.IMessage): Fields | undefined {
  const { interactiveMessage, buttonsMessage, listMessage, templateMessage } = content;
  if (interactiveMessage) return native(interactiveMessage);
  if (listMessage) return classicList(listMessage);
  if (buttonsMessage) {
    const titles = (buttonsMessage.buttons ?? []).map(({ buttonId, buttonText }) => ({
      id: buttonId,
      title: buttonText?.displayText,
    }));
    return frame('button', buttonsMessage.text, buttonsMessage.contentText, buttonsMessage.footerText, replies(titles));
  }
  const four = templateMessage?.hydratedFourRowTemplate ?? templateMessage?.hydratedTemplate;
  if (!four) return undefined;
  const quick = (four.hydratedButtons ?? []).flatMap(({ quickReplyButton }) => quickReplyButton ?? []);
  const titles = quick.map(({ id, displayText }) => ({ id, title: displayText }));
  return frame('button', four.hydratedTitleText, four.hydratedContentText, four.hydratedFooterText, replies(titles));
}

/** What somebody tapped on a native flow. */
export function nativeReply(reply: proto.Message.IInteractiveResponseMessage): Fields {
  const { name, paramsJson } = reply.nativeFlowResponseMessage ?? {};
  const { id, display_text, title, description } = parameters(paramsJson);
  const shown = display_text ?? title ?? reply.body?.text ?? '';
  if (name === 'quick_reply' && typeof id === 'string') {
    return { type: 'button_reply', button_reply: { id, title: shown } };
  }
  if ((name === 'menu_options' || name === 'single_select') && typeof id === 'string') {
    const more = typeof description === 'string' && description ? { description } : {};
    return { type: 'list_reply', list_reply: { id, title: shown, ...more } };
  }
  const flow = { name, body: reply.body?.text, response_json: paramsJson };
  const told = Object.entries(flow).filter(([, value]) => typeof value === 'string' && value !== '');
  return { type: 'nfm_reply', nfm_reply: Object.fromEntries(told) };
}
