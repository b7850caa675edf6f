/** A node in memory: devices with what is on them, a mount table, and the programs that change both. */
import type { CommandResult, NodeHost } from '../src/node/node-host.ts';

export interface FakeDevice {
  /** major:minor */
  number: string;
  sizeBytes: number;
  /** what blkid says; '' = nothing */
  type: string;
  /** the start of its content */
  head: Buffer;
}

interface FakeMount {
  device: string;
  root: string;
  path: string;
  options: string[];
  fsType: string;
  source: string;
  superOptions: string[];
}

const ok: CommandResult = { code: 0, output: '' };

export class FakeHost implements NodeHost {
  readonly devices = new Map<string, FakeDevice>();
  readonly table: FakeMount[] = [];
  /** every program that ran, as a line */
  readonly commands: string[] = [];
  /** devices that something has which is not in the mount table */
  readonly held = new Set<string>();
  /** options of file systems that containers have, by device */
  readonly heldOptions = new Map<string, string[]>();
  /** paths whose file system gives I/O errors */
  readonly silent = new Set<string>();
  /** results instead of the usual ones, by program */
  readonly results = new Map<string, CommandResult | Error>();

  addDevice(path: string, device: Partial<FakeDevice> = {}): FakeDevice {
    const made = { number: '7:1', sizeBytes: 1 << 30, type: '', head: Buffer.alloc(1 << 20), ...device };
    this.devices.set(path, made);
    return made;
  }

  /** The lines of programs that change something. */
  changes(): string[] {
    return this.commands.filter((line) => !/^(blkid|blockdev) /.test(line));
  }

  run(command: string, args: readonly string[], _timeoutMs?: number): Promise<CommandResult> {
    this.commands.push([command, ...args].join(' '));
    const answer = this.results.get(command);
    if (answer instanceof Error) return Promise.reject(answer);
    return Promise.resolve(answer ?? this.#act(command, args));
  }

  #act(command: string, args: readonly string[]): CommandResult {
    const last = args.at(-1) ?? '';
    if (command === 'blkid') {
      const type = this.devices.get(last)?.type ?? '';
      return type === ''
        ? { code: 2, output: '' }
        : { code: 0, output: `DEVNAME=${last}\n${type.includes('=') ? type : `TYPE=${type}`}\n` };
    }
    if (command === 'blockdev') return { code: 0, output: `${this.devices.get(last)?.sizeBytes ?? 0}\n` };
    if (command.startsWith('mkfs.')) {
      const device = this.devices.get(last);
      if (device !== undefined) device.type = command.slice('mkfs.'.length);
    }
    if (command === 'umount') {
      const at = this.table.findLastIndex(({ path }) => path === last);
      if (at < 0) return { code: 32, output: `umount: ${last}: not mounted.` };
      this.table.splice(at, 1);
    }
    if (command === 'mount') this.#mount(args);
    return ok;
  }

  #mount(args: readonly string[]): void {
    const [path = '', source = ''] = args.toReversed();
    const option = args[args.indexOf('-o') + 1]?.split(',') ?? [];
    if (option[0] === 'remount') {
      const mount = this.table.findLast((one) => one.path === path);
      if (mount !== undefined) mount.options = option.slice(2);
      return;
    }
    if (option[0] === 'bind') {
      const from = this.table.findLast((one) => one.path === source);
      const file = this.devices.has(source) || (from !== undefined && from.root !== '/');
      this.table.push(
        file
          ? {
              device: '0:6',
              root: from?.root ?? source.replace('/dev', ''),
              path,
              options: ['rw'],
              fsType: 'devtmpfs',
              source: 'dev',
              superOptions: ['rw'],
            }
          : {
              device: from?.device ?? '',
              root: '/',
              path,
              options: ['rw'],
              fsType: from?.fsType ?? '',
              source: from?.source ?? '',
              superOptions: [...(from?.superOptions ?? [])],
            },
      );
      return;
    }
    const device = this.devices.get(source)?.number ?? '';
    const readOnly = option.includes('ro') ? 'ro' : 'rw';
    // One file system, wherever it is mounted.
    const superOptions = this.table.find((one) => one.device === device)?.superOptions ?? this.heldOptions.get(source);
    this.table.push({
      device,
      root: '/',
      path,
      options: [readOnly],
      fsType: args[1] ?? '',
      source,
      superOptions: superOptions ?? [readOnly],
    });
  }

  mountInfo(): Promise<string> {
    const lines = this.table.map(
      (one, index) =>
        `${index + 30} 20 ${one.device} ${one.root} ${one.path.replaceAll(' ', '\\040')} ${one.options.join(',')} shared:1 - ${one.fsType} ${one.source} ${one.superOptions.join(',')}`,
    );
    return Promise.resolve(`${lines.join('\n')}\n`);
  }

  deviceNumber(path: string): Promise<string | null> {
    const device = this.devices.get(path);
    if (device !== undefined) return Promise.resolve(device.number);
    const mount = this.table.findLast((one) => one.path === path && one.root !== '/');
    return Promise.resolve(mount === undefined ? null : (this.devices.get(`/dev${mount.root}`)?.number ?? null));
  }

  isHeld(path: string): Promise<boolean> {
    const number = this.devices.get(path)?.number;
    return Promise.resolve(this.held.has(path) || this.table.some(({ device }) => device === number));
  }

  answers(path: string): Promise<boolean> {
    return Promise.resolve(!this.silent.has(path));
  }

  readDevice(path: string, offset: number, length: number): Promise<Buffer> {
    const device = this.devices.get(path);
    if (device === undefined) return Promise.reject(new Error(`EIO: ${path}`));
    const content = Buffer.alloc(length);
    if (offset < device.head.length) device.head.copy(content, 0, offset, offset + length);
    return Promise.resolve(content);
  }

  loopDevices(): Promise<number | null> {
    return Promise.resolve(null);
  }
}
