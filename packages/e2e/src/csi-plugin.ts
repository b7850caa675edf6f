/** The CSI plugin of one node as a sidecar or kubelet sees it: a process with a socket, and clients of its services. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { waitFor } from '@longhorn/engine/testing/wait';
import {
  Controller,
  Identity,
  Node,
  VolumeCapability_AccessMode_Mode as Mode,
  type ControllerMethods,
  type NodeMethods,
  type VolumeCapability,
} from '@longhorn/shared-types/generated/csi-v1';
import { createClient, type ServiceClient } from '@longhorn/shared-types/grpc/client';

const PROGRAM = resolve(import.meta.dirname, '../../csi/dist/longhorn-csi');
const START_MS = 40_000;
const STOP_MS = 20_000;
const CALL_MS = 110_000;

export class CsiPlugin {
  readonly node: string;
  readonly folder: string;
  private readonly managerUrl: string;
  private child: ChildProcess | null = null;
  readonly controller: ServiceClient<ControllerMethods>;
  readonly nodeService: ServiceClient<NodeMethods>;

  /** @param folder for the socket, the log, and mount points */
  constructor(node: string, folder: string, managerUrl: string) {
    this.node = node;
    this.folder = folder;
    this.managerUrl = managerUrl;
    mkdirSync(folder, { recursive: true });
    this.controller = createClient(Controller, `unix://${this.socket}`, { timeoutMs: CALL_MS });
    this.nodeService = createClient(Node, `unix://${this.socket}`, { timeoutMs: CALL_MS });
  }

  get socket(): string {
    return join(this.folder, 'csi.sock');
  }

  /** Starts the process and waits until it answers. */
  async start(): Promise<void> {
    const flags = ['--nodeid', this.node, '--endpoint', `unix://${this.socket}`, '--manager-url', this.managerUrl];
    const child = spawn(PROGRAM, ['csi', ...flags], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.child = child;
    const log = createWriteStream(join(this.folder, 'log'), { flags: 'a' });
    for (const stream of [child.stdout, child.stderr]) stream.pipe(log, { end: false });
    await waitFor(`the CSI plugin of ${this.node} answers`, START_MS, async () => {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
      const identity = createClient(Identity, `unix://${this.socket}`, { timeoutMs: 2000 });
      try {
        return (await identity.GetPluginInfo({})).name === 'driver.longhorn.io';
      } finally {
        identity.close();
      }
    });
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const { child } = this;
    this.child = null;
    if (child === null || child.exitCode !== null) return;
    child.kill(signal);
    await waitFor(`the CSI plugin of ${this.node} ends`, STOP_MS, () =>
      Promise.resolve(child.exitCode !== null || child.signalCode !== null),
    );
  }

  /** Ends the process and its clients. */
  async stop(): Promise<void> {
    this.controller.close();
    this.nodeService.close();
    await this.end('SIGTERM');
  }
}

/** One node, for reading and writing, with a file system. */
export function mountOf(fsType: string, mountFlags: string[] = []): VolumeCapability {
  return {
    block: null,
    mount: { fs_type: fsType, mount_flags: mountFlags, volume_mount_group: '' },
    access_mode: { mode: Mode.SINGLE_NODE_WRITER },
  };
}

/** One node, as a raw device. */
export const RAW: VolumeCapability = {
  block: {},
  mount: null,
  access_mode: { mode: Mode.SINGLE_NODE_WRITER },
};
