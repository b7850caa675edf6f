import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { findProgram } from '../src/io/commands.ts';
import { iptables, nftables, type PacketFilter } from '../src/node/packet-filter.ts';
import { nodeAddresses } from '../src/node/paths.ts';

const INSTANCE = 97;
const [ours, theirs] = ['feedc0de', 'deadc0de'];
const [one, two] = [nodeAddresses(1, INSTANCE), nodeAddresses(2, INSTANCE)];
const elsewhere = nodeAddresses(1, INSTANCE + 1);

const isRoot = process.getuid?.() === 0;

async function works(make: (id: string) => PacketFilter): Promise<boolean> {
  if (!isRoot) return false;
  try {
    await make(ours).clean();
    return true;
  } catch (error) {
    console.log(`packet filter: ${String(error)}`);
    return false;
  }
}

const makers = [nftables, iptables].map((make) => {
  const program = findProgram(make === nftables ? 'nft' : 'iptables', process.env['PATH'] ?? '');
  return { means: make.name, filter: (id: string): PacketFilter => make(program ?? '/nowhere', id) };
});
const filters = await Promise.all(makers.map(async (each) => ({ ...each, usable: await works(each.filter) })));

/** Nobody listens there: what comes through is refused at once, what is dropped is never answered. */
const refused = ({ podRange }: typeof one): Promise<true> =>
  new Promise((resolve, reject) => {
    const socket = connect(9, podRange.replace('.0/24', '.2'));
    socket.once('error', (error) => ('code' in error && error.code === 'ECONNREFUSED' ? resolve(true) : reject(error)));
  });

/** A datagram that a rule drops on its way out is told to its sender at once. */
const isDropped = ({ podRange }: typeof one): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const socket = createSocket('udp4');
    socket.send('x', 9, podRange.replace('.0/24', '.2'), (error) => {
      socket.close();
      if (error === null) resolve(false);
      else if ('code' in error && error.code === 'EPERM') resolve(true);
      else reject(error);
    });
  });

describe.each(filters)('packets of a node, by $means', ({ filter, usable, means }) => {
  if (!usable) console.log(`packet filter: ${means} is skipped, it wants root, the program and the kernel's part`);
  afterEach(async () => {
    if (usable) for (const id of [ours, theirs]) await filter(id).clean();
  });

  it.skipIf(!usable)('are dropped, and pass again', async () => {
    const made = filter(ours);
    await made.drop(one);
    expect([await isDropped(one), await refused(two)]).toEqual([true, true]);
    await made.restore(one);
    expect(await refused(one)).toBe(true);
  });

  it.skipIf(!usable)('pass for the next cluster, whatever one that was killed left for its addresses', async () => {
    await filter(theirs).drop(two);
    const made = filter(ours);
    await made.cleanOthers([elsewhere]);
    expect(await isDropped(two)).toBe(true);
    await made.cleanOthers([one, two]);
    expect(await refused(two)).toBe(true);
  });
});
