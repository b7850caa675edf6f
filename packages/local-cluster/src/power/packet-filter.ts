/**
 * Drops packets to and from a node without power, silently, as a dead machine does: peers see timeouts, not resets.
 *
 * One iptables chain per cluster, so that what a crash leaves is found by its name and only ours is touched. Wants root.
 */
import { ProgramError, runProgram } from './run-program.ts';

const HOOKS = ['INPUT', 'OUTPUT'] as const;

/** `LH-` and the cluster's id; iptables takes at most 28 characters. */
export function chainName(clusterId: string): string {
  return `LH-${clusterId}`.slice(0, 28);
}

const iptables = (...args: string[]): Promise<string> => runProgram('iptables', ['-w', '10', ...args]);

/** True when the command succeeds; false when iptables says that the rule or chain is not there. */
async function succeeds(...args: string[]): Promise<boolean> {
  try {
    await iptables(...args);
    return true;
  } catch (error) {
    if (error instanceof ProgramError && error.exitCode !== null) return false;
    throw error;
  }
}

async function ensureChain(chain: string): Promise<void> {
  if (!(await succeeds('-L', chain, '-n'))) await iptables('-N', chain);
  for (const hook of HOOKS) {
    if (!(await succeeds('-C', hook, '-j', chain))) await iptables('-I', hook, '1', '-j', chain);
  }
}

/** @param networks addresses or networks of the node, for example `127.0.0.2` and `127.1.1.0/24` */
export async function dropPackets(clusterId: string, networks: readonly string[]): Promise<void> {
  const chain = chainName(clusterId);
  await ensureChain(chain);
  for (const network of networks) {
    for (const side of ['-d', '-s']) {
      const rule = [chain, side, network, '-j', 'DROP'];
      if (!(await succeeds('-C', ...rule))) await iptables('-A', ...rule);
    }
  }
}

/** Packets pass again; it is no error when they did already. */
export async function passPackets(clusterId: string, networks: readonly string[]): Promise<void> {
  const chain = chainName(clusterId);
  for (const network of networks) {
    for (const side of ['-d', '-s']) await succeeds('-D', chain, side, network, '-j', 'DROP');
  }
}

/** Takes the cluster's chain away with all that is in it. */
export async function removePacketFilter(clusterId: string): Promise<void> {
  const chain = chainName(clusterId);
  for (const hook of HOOKS) {
    while (await succeeds('-C', hook, '-j', chain)) await iptables('-D', hook, '-j', chain);
  }
  if (await succeeds('-L', chain, '-n')) {
    await iptables('-F', chain);
    await iptables('-X', chain);
  }
}

/** Whether packets can be dropped here: root and iptables. */
export async function packetFilterAvailable(): Promise<boolean> {
  if (process.getuid?.() !== 0) return false;
  try {
    return await succeeds('-L', 'INPUT', '-n');
  } catch (error) {
    if (error instanceof ProgramError) return false; // no iptables on this machine
    throw error;
  }
}
