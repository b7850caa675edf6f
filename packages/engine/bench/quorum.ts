/**
 * The yardstick, written in C: qemu-storage-daemon as one NBD server per replica on a sparse file, and a quorum over them that
 * writes to all and reads from one, itself served as NBD.
 *
 * What makes it comparable: its files lie on the file systems that our replicas use; both sides acknowledge a write once it is in
 * the page cache of every replica, and take it to the disk when the client flushes. What favours it: all of its replicas are
 * reached over unix sockets (over TCP it stalls on delayed acknowledgements), ours but one over TCP; it keeps no
 * snapshots, index, epochs, region lists or revision counter.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { waitFor } from '../testing/wait.ts';
import { LISTENING_MS, start, startingOrStopped, stopAll, type Running } from './processes.ts';
import type { System } from './systems.ts';

export interface QuorumOptions {
  /** qemu-storage-daemon */
  readonly program: string;
  /** One for each replica; `bench-quorum` is made in it and removed at the end. */
  readonly replicaFolders: readonly string[];
  /** Sockets and logs. */
  readonly folder: string;
  readonly sizeBytes: number;
}

/** Starts it; `stop` removes its files too. */
export async function startQuorum({ program, replicaFolders, folder, sizeBytes }: QuorumOptions): Promise<System> {
  const home = join(folder, 'quorum');
  mkdirSync(home, { recursive: true });
  const pieces = { program, replicaFolders, home, sizeBytes };
  return startingOrStopped(async (running) => {
    const socket = await startProcesses(pieces, running).catch((error: unknown) => {
      removeImages(replicaFolders);
      throw error;
    });
    return {
      name: 'quorum',
      nbd: { uri: `nbd+unix:///volume?socket=${socket}`, home: null },
      socketPath: null,
      pids: running.map(({ pid }) => pid),
      async stop() {
        await stopAll(running);
        removeImages(replicaFolders);
      },
    };
  });
}

/** The socket of the export. */
async function startProcesses(
  { program, replicaFolders, home, sizeBytes }: Omit<QuorumOptions, 'folder'> & { home: string },
  running: Running[],
): Promise<string> {
  const daemon = (name: string, args: readonly string[]): void => {
    running.push(start(name, program, args, join(home, 'log')));
  };
  const args: string[] = [];
  let children = '';
  for (const [i, replicaFolder] of replicaFolders.entries()) {
    const [file, socket] = [join(imageFolder(replicaFolder), `replica${i}.img`), join(home, `replica${i}.sock`)];
    mkdirSync(imageFolder(replicaFolder), { recursive: true });
    writeFileSync(file, '');
    truncateSync(file, sizeBytes);
    const disk = `driver=file,node-name=f,filename=${file},discard=unmap,cache.direct=off`;
    const serve = ['--nbd-server', `addr.type=unix,addr.path=${socket}`];
    daemon(`quorum replica ${i}`, ['--blockdev', disk, ...serve, '--export', exportOf('f', 'replica')]);
    await waitFor('the quorum’s replica listens', LISTENING_MS, () => existsSync(socket));
    args.push('--blockdev', `driver=nbd,node-name=r${i},server.type=unix,server.path=${socket},export=replica`);
    children += `,children.${i}=r${i}`;
  }
  const socket = join(home, 'quorum.sock');
  // read-pattern=fifo reads from one replica, as a volume does; a quorum needs two children at least
  const top = replicaFolders.length === 1 ? 'r0' : 'q';
  if (top === 'q') args.push('--blockdev', `driver=quorum,node-name=q,vote-threshold=1,read-pattern=fifo${children}`);
  args.push('--nbd-server', `addr.type=unix,addr.path=${socket}`, '--export', exportOf(top, 'volume'));
  daemon('quorum', args);
  await waitFor('the quorum listens', LISTENING_MS, () => existsSync(socket));
  return socket;
}

function removeImages(replicaFolders: readonly string[]): void {
  for (const replicaFolder of replicaFolders) rmSync(imageFolder(replicaFolder), { recursive: true, force: true });
}

export function hasQuorum(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

const imageFolder = (replicaFolder: string): string => join(replicaFolder, 'bench-quorum');

function exportOf(node: string, name: string): string {
  return `type=nbd,id=e,node-name=${node},name=${name},writable=on`;
}
