/** The `longhorn-instance-manager` program. */
import { Command, InvalidArgumentError } from 'commander';
import { joinHostPort, probeHost } from '@longhorn/shared-types/grpc/address';
import { runDaemon, type DaemonFlags } from './cli/daemon-command.ts';
import { nodeEnvironment } from './cli/environment.ts';
import {
  createProcess,
  deleteProcess,
  fatalLine,
  getProcess,
  listProcesses,
  printable,
  replaceProcess,
  versions,
  type ProcessFlags,
} from './cli/process-commands.ts';
import { VERSION } from './version.ts';

const DEFAULT_PORT = 8500;

function count(text: string): number {
  if (!/^\d{1,5}$/.test(text)) throw new InvalidArgumentError('write a whole number');
  return Number(text);
}

function collect(text: string, before: string[]): string[] {
  return [...before, text];
}

/** Flags of `process create` and `process replace`. */
function withProcessFlags(command: Command): Command {
  return command
    .requiredOption('--name <name>', 'name of the process')
    .requiredOption('--binary <path>', 'program to run')
    .option('--port-count <n>', 'number of ports', count, 0)
    .option('--port-args <text>', 'argument made of this text and a port (repeatable)', collect, [])
    .argument('[args...]', 'arguments of the process, behind --');
}

interface GlobalFlags {
  url: string;
  tlsDir: string;
  debug: boolean;
}

function build(env: NodeJS.ProcessEnv, print: (text: string) => void): Command {
  const node = nodeEnvironment(env);
  const program = new Command('longhorn-instance-manager').version(VERSION).exitOverride();
  program
    .option(
      '--url <address>',
      'server of client commands',
      `tcp://${joinHostPort(probeHost(node.podIp), DEFAULT_PORT)}`,
    )
    .option('--tls-dir <folder>', 'folder with ca.crt, tls.crt, tls.key', env['TLS_DIR'] ?? '')
    .option('--debug', 'log more', false);
  const globals = (): GlobalFlags => program.opts<GlobalFlags>();

  program
    .command('daemon')
    .option('--listen <address>', 'HOST:PORT of the first service', `localhost:${DEFAULT_PORT}`)
    .option('--logs-dir <folder>', 'folder of process logs', node.logsFolder)
    .option('--port-range <range>', 'ports of processes', '10000-20000')
    .option('--spdk-port-range <range>', 'accepted, unused')
    .option('--spdk-enabled', 'refused: v1 only')
    .option('--binaries-dir <folder>', 'folder of binaries that may be run (repeatable)', collect, [])
    .action((flags: Omit<DaemonFlags, 'tlsDir' | 'debug'>) => {
      const { tlsDir, debug } = globals();
      return runDaemon({ ...flags, tlsDir, debug }, env);
    });

  const processes = program.command('process');
  withProcessFlags(processes.command('create')).action(async (args: string[], flags: ProcessFlags) =>
    print(printable(await createProcess(globals().url, flags, args))),
  );
  withProcessFlags(processes.command('replace'))
    .option('--terminate-signal <name>', 'signal for the old process', 'SIGHUP')
    .action(async (args: string[], flags: ProcessFlags & { terminateSignal: string }) =>
      print(printable(await replaceProcess(globals().url, flags, args))),
    );
  processes
    .command('delete')
    .requiredOption('--name <name>')
    .option('--uuid <uuid>', 'only this process', '')
    .option('--keep-device', "leave an engine's block device to a successor", false)
    .action(async (flags: { name: string; uuid: string; keepDevice: boolean }) =>
      print(printable(await deleteProcess(globals().url, flags.name, flags.uuid, flags.keepDevice))),
    );
  processes
    .command('get')
    .requiredOption('--name <name>')
    .action(async (flags: { name: string }) => print(printable(await getProcess(globals().url, flags.name))));
  processes
    .command('list')
    .alias('ls')
    .action(async () => print(printable(await listProcesses(globals().url))));
  program
    .command('version')
    .option('--client-only', 'do not ask the server', false)
    .action(async (flags: { clientOnly: boolean }) =>
      print(JSON.stringify(await versions(globals().url, flags.clientOnly))),
    );
  return program;
}

async function main(): Promise<void> {
  const print = (text: string): void => {
    process.stdout.write(`${text}\n`);
  };
  try {
    await build(process.env, print).parseAsync(process.argv);
  } catch (error) {
    // commander has printed its own message (help, version, usage).
    if (error instanceof Error && 'exitCode' in error && typeof error.exitCode === 'number') {
      process.exitCode = error.exitCode;
      return;
    }
    process.stderr.write(`${fatalLine(process.argv[2] ?? '', error)}\n`);
    // A daemon that could not start has listeners open: they must not keep it alive.
    process.exit(1);
  }
}

await main();
