// libsignal reports sessions, private keys included, through console. This module is imported before it, and
// nothing in the sandbox uses console itself: its logs go to stderr through log.ts.
const silence = (): void => {};
for (const method of ['debug', 'error', 'info', 'log', 'trace', 'warn'] as const) console[method] = silence;
