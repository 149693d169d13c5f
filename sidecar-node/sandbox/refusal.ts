/** A request that cannot be met; its message is a sentence for whoever asked, and the status is HTTP's. */
export class Refusal extends Error {
  readonly status: number;

  constructor(message: string, status = 400) {
    super(message);
    this.name = 'Refusal';
    this.status = status;
  }
}
