/** A machine of its own kernel, emulated by QEMU: for what needs kernel modules that this one lacks. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { waitFor } from '@longhorn/engine/testing/wait';
import type { GuestImage } from './image.ts';

/** The guest's way to this machine's loopback address. */
export const HOST = '10.0.2.2';
const MEMORY_MIB = 512;
const BOOT_MS = 180_000;

export class Guest {
  private readonly qemu: ChildProcess;
  private readonly logPath: string;
  private output = '';

  private constructor(qemu: ChildProcess, logPath: string) {
    this.qemu = qemu;
    this.logPath = logPath;
    qemu.stdout?.on('data', (bytes: Buffer) => (this.output += bytes.toString().replaceAll('\r', '')));
  }

  /** Resolves once it takes commands. @param logPath of the kernel's messages */
  static async boot(image: GuestImage, logPath: string): Promise<Guest> {
    const machine = ['-machine', 'q35', '-cpu', 'max', '-smp', '2', '-m', String(MEMORY_MIB), '-display', 'none'];
    const files = ['-kernel', image.kernel, '-initrd', image.initramfs, '-append', 'console=ttyS0 panic=-1'];
    const serial = ['-serial', `file:${logPath}`, '-serial', 'stdio', '-monitor', 'none', '-no-reboot'];
    const network = ['-netdev', 'user,id=net,restrict=off', '-device', 'virtio-net-pci,netdev=net'];
    const qemu = spawn('qemu-system-x86_64', [...machine, ...files, ...serial, ...network], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const guest = new Guest(qemu, logPath);
    await waitFor(
      'the guest is up',
      BOOT_MS,
      async () => guest.output.includes('guest is up\n'),
      () => guest.describe(),
    );
    return guest;
  }

  /** Runs one line of shell; resolves with what it printed, rejects when it fails. */
  async run(command: string, timeoutMs = 120_000): Promise<string> {
    const from = this.output.length;
    this.qemu.stdin?.write(`${command}\n`);
    const [text = '', code] = await waitFor(
      `the guest ends ${command}`,
      timeoutMs,
      async () => {
        const found = /^([\s\S]*?)exit code (\d+)\n/.exec(this.output.slice(from));
        return found !== null && [found[1], found[2]];
      },
      () => this.describe(),
    );
    if (code !== '0') throw new Error(`${command} failed in the guest: ${text}`);
    return text;
  }

  private describe(): string {
    return `it printed:\n${this.output.slice(-2_000)}\nmessages of its kernel: ${this.logPath}`;
  }

  /** Takes its power away. */
  async stop(): Promise<void> {
    if (this.qemu.exitCode !== null || this.qemu.signalCode !== null) return;
    this.qemu.kill('SIGKILL');
    await once(this.qemu, 'exit');
  }
}

/** Makes a port of any loopback address, or a unix socket, reachable for a guest, which sees 127.0.0.1 only. */
export class Forward {
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();

  private constructor(target: { host: string; port: number } | { path: string }) {
    this.server = createServer((inner) => {
      const outer = connect(target);
      for (const [from, to] of [
        [inner, outer],
        [outer, inner],
      ] as const) {
        this.sockets.add(from);
        from.on('error', () => undefined);
        from.on('close', () => {
          this.sockets.delete(from);
          to.destroy();
        });
        from.pipe(to);
      }
    });
  }

  static async to(target: { host: string; port: number } | { path: string }): Promise<Forward> {
    const forward = new Forward(target);
    forward.server.listen(0, '127.0.0.1');
    await once(forward.server, 'listening');
    return forward;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }
}
