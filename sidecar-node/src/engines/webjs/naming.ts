/** What the page sends next, under an id of ours. */
import { failed, isGone } from './failures.ts';
import { setNextId } from './in_page.ts';
import type { Page } from './library.ts';

/**
 * Does what sends one message, which takes `id`; an empty one: the page chooses. What took no id leaves it to no other
 * message. Rejects as certain not to have been sent, unless the page went meanwhile.
 */
export async function named<T>(page: Page, id: string, work: () => Promise<T>): Promise<T> {
  try {
    if (id) await page.evaluate(setNextId, id);
    return await work();
  } catch (error) {
    throw failed(error, isGone(error));
  } finally {
    if (id) await page.evaluate(setNextId, '').catch(() => {});
  }
}
