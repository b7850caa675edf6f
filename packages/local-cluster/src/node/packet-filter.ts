/**
 * Drops all packets to and from a node without telling anybody, as a cable that is cut does.
 *
 * All rules of a cluster are in one nftables table, or in iptables chains, named by the cluster's id: what a crash leaves
 * is found and removed by that name.
 */
import { findProgram, run } from '../io/commands.ts';
import type { NodeAddresses } from './paths.ts';

export interface PacketFilter {
  /** how packets are dropped, for people; `null`: they are not */
  readonly means: string | null;
  drop(node: NodeAddresses): Promise<void>;
  restore(node: NodeAddresses): Promise<void>;
  /** removes everything that this cluster has ever made */
  clean(): Promise<void>;
  /** removes what other clusters made for these nodes' addresses; none of them may run any more */
  cleanOthers(nodes: readonly NodeAddresses[]): Promise<void>;
}

const noFilter: PacketFilter = {
  means: null,
  drop: async () => undefined,
  restore: async () => undefined,
  clean: async () => undefined,
  cleanOthers: async () => undefined,
};

const ranges = (node: NodeAddresses): string[] => [`${node.address}/32`, node.podRange];

/** `program`: path of nft. */
export function nftables(program: string, clusterId: string): PacketFilter {
  const table = `longhorn_local_${clusterId}`;
  const cut = new Map<string, string[]>();
  // The whole table is written anew in one transaction: there is no state in between.
  const apply = async (): Promise<void> => {
    const dropped = [...cut.values()].flat();
    const begin = `add table ip ${table}\ndelete table ip ${table}\n`;
    if (dropped.length === 0) return void (await run(program, ['-f', '-'], begin));
    const set = `{ ${dropped.join(', ')} }`;
    const body = `table ip ${table} {
      chain input { type filter hook input priority -300; ip daddr ${set} drop; ip saddr ${set} drop; }
      chain output { type filter hook output priority -300; ip daddr ${set} drop; ip saddr ${set} drop; }
    }\n`;
    await run(program, ['-f', '-'], begin + body);
  };
  return {
    means: 'nftables',
    drop: (node) => {
      cut.set(node.name, ranges(node));
      return apply();
    },
    restore: (node) => {
      cut.delete(node.name);
      return apply();
    },
    clean: () => {
      cut.clear();
      return apply();
    },
    cleanOthers: async (nodes) => {
      const tables = [...(await run(program, ['list', 'tables', 'ip'])).matchAll(/^table ip (longhorn_local_\w+)$/gm)];
      for (const other of tables.map(([, name = '']) => name).filter((name) => name !== table)) {
        const rules = await run(program, ['list', 'table', 'ip', other]);
        if (nodes.some(({ podRange }) => rules.includes(podRange)))
          await run(program, ['delete', 'table', 'ip', other]);
      }
    },
  };
}

/** `program`: path of iptables. */
export function iptables(program: string, clusterId: string): PacketFilter {
  const chain = `LHLOCAL-${clusterId}`;
  const rules = (node: NodeAddresses): string[][] =>
    ranges(node).flatMap((range) => [
      ['-s', range, '-j', 'DROP'],
      ['-d', range, '-j', 'DROP'],
    ]);
  const ipt = (...args: string[]): Promise<string> => run(program, ['-w', ...args]);
  const exists = async (): Promise<boolean> => (await ipt('-S')).includes(`-N ${chain}\n`);
  const remove = async (name: string): Promise<void> => {
    const lines = (await ipt('-S')).split('\n').filter((line) => line.startsWith('-A') && line.endsWith(`-j ${name}`));
    for (const line of lines) await ipt('-D', ...line.split(' ').slice(1));
    await ipt('-F', name);
    await ipt('-X', name);
  };
  return {
    means: 'iptables',
    drop: async (node) => {
      if (!(await exists())) {
        await ipt('-N', chain);
        for (const hook of ['INPUT', 'OUTPUT']) await ipt('-I', hook, '-j', chain);
      }
      for (const rule of rules(node)) await ipt('-A', chain, ...rule);
    },
    restore: async (node) => {
      if (await exists()) for (const rule of rules(node)) await ipt('-D', chain, ...rule);
    },
    clean: async () => {
      if (await exists()) await remove(chain);
    },
    cleanOthers: async (nodes) => {
      const rules = (await ipt('-S')).split('\n');
      const stale = rules.flatMap((rule) => {
        const [, name = chain, range = ''] = /^-A (LHLOCAL-\w+) -[sd] (\S+) /.exec(rule) ?? [];
        return name !== chain && nodes.some(({ podRange }) => podRange === range) ? [name] : [];
      });
      for (const name of new Set(stale)) await remove(name);
    },
  };
}

/** The means that works on this machine. */
export async function packetFilter(clusterId: string, isRoot: boolean, path: string): Promise<PacketFilter> {
  if (!isRoot) return noFilter;
  for (const [name, make] of [
    ['nft', nftables],
    ['iptables', iptables],
  ] as const) {
    const program = findProgram(name, path);
    if (program === null) continue;
    const filter = make(program, clusterId);
    try {
      await filter.clean();
      return filter;
    } catch (error) {
      // The program is there, the kernel's part is not: the next one may do.
      if (!(error instanceof Error)) throw error;
    }
  }
  return noFilter;
}
