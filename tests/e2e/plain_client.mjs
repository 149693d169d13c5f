// A plain client in JavaScript: it knows INTERFACE and its tenant's user, nothing else.
// Arguments: url, user, password, tenant, session, recipient. Prints each status of its command, ends at `read`.
import { connect } from '@nats-io/transport-node';

const [url, user, pass, tenant, session, to] = process.argv.slice(2);
const nc = await connect({ servers: url, user, pass });
const id = `node-${process.pid}`;

const events = nc.subscribe(`wa.evt.${tenant}.${session}.status.>`);
await nc.flush();
const command = { id, to, type: 'text', text: { body: 'sent from Node' } };
const ack = await nc.request(`wa.cmd.${tenant}.${session}.send`, JSON.stringify(command));
console.log('stored', ack.json().stream);

const { decode } = await import('@msgpack/msgpack');
for await (const message of events) {
  const event = message.data[0] === 0x7b ? message.json() : decode(message.data);
  if (event.data.command_id !== id) continue;
  console.log(event.data.status);
  if (event.data.status === 'read') break;
}
await nc.close();
