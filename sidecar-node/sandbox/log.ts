/** Writes one line of JSON to stderr. Details must hold neither key material nor message text. */
export function log(event: string, detail: Record<string, string | number | boolean | undefined> = {}): void {
  process.stderr.write(`${JSON.stringify({ at: new Date().toISOString(), event, ...detail })}\n`);
}

/** An error's message only: its properties may carry sessions or payloads. */
export function logError(event: string, error: unknown): void {
  log(event, { error: error instanceof Error ? `${error.name}: ${error.message}` : String(error) });
}
