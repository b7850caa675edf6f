/**
 * The `longhorn` command line: upstream's commands, flags, output and exit codes.
 *
 * Results go to standard output, everything else to standard error. Each command's code is loaded when it runs, so that
 * an idle engine or replica holds only its own.
 */
import { Command, CommanderError, Option } from 'commander';
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import { ENGINE_VERSION } from '../controller/versions.ts';
import { addDaemonCommands } from './daemon-commands.ts';
import type { GlobalFlags } from './engine-flow.ts';
import { logLine } from './go-output.ts';
import { collect, parseBoolean, parseBytes, parseCount, parseSize, withBooleanValues } from './parse-flags.ts';

/** A command's code ended the run with this exit code. */
export class ExitWith extends Error {
  override readonly name = 'ExitWith';
  readonly code: number;

  constructor(code: number) {
    super(`exit ${code}`);
    this.code = code;
  }
}

/** Runs one command line; resolves with the exit code. */
export async function runCli(argv: readonly string[]): Promise<number> {
  const program = buildProgram();
  const words = withBooleanValues(argv, booleanFlags(program));
  try {
    await program.parseAsync(words, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof ExitWith) return error.code;
    if (error instanceof CommanderError) return reportUsage(program, error);
    const command = program.opts<{ ran?: string }>().ran ?? '';
    fatal(`Error running ${command} command`, errorText(error));
    return 1;
  }
}

function reportUsage(program: Command, error: CommanderError): number {
  if (error.exitCode === 0) return 0;
  if (error.code === 'commander.unknownOption') {
    const name = /'-{1,2}([^']*)'/.exec(error.message)?.[1] ?? '';
    process.stdout.write(`Incorrect Usage: flag provided but not defined: -${name}\n\n${program.helpInformation()}`);
    fatal('Error when executing command', `flag provided but not defined: -${name}`);
    return 1;
  }
  fatal('Error when executing command', error.message.replace(/^error: /, ''));
  return 1;
}

function fatal(message: string, error: string): void {
  process.stderr.write(logLine(new Date(), 'fatal', message, { error }));
}

function buildProgram(): Command {
  const program = new Command('longhorn');
  program
    .version(`longhorn version ${ENGINE_VERSION}`, '-v, --version')
    .option('--url <url>', 'controller gRPC address', 'http://localhost:9501')
    .option('--volume-name <name>', 'name of the volume, checked by who is called', '')
    .option('--engine-instance-name <name>', 'name of the engine instance, checked by who is called', '')
    .addOption(booleanOption('--debug', 'more logs'))
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
    .hook('preAction', (root, action) => {
      root.setOptionValue('ran', commandPath(action));
    });
  addDaemonCommands(program);
  addReplicaCommands(program);
  addSnapshotCommands(program);
  addVolumeCommands(program);
  refuseOthers(program);
  return program;
}

/** What `command` does with a word that none of its commands has: that word is refused, whatever its flags are. */
function refuseOthers(command: Command): void {
  command
    .argument('[command...]')
    .allowUnknownOption()
    .action((words: string[]) => {
      const [name] = words;
      if (name === undefined) {
        process.stdout.write(command.helpInformation());
        return;
      }
      if (name.startsWith('-')) {
        throw new CommanderError(1, 'commander.unknownOption', `error: unknown option '${name}'`);
      }
      process.stdout.write(`unrecognized command: ${name}\n`);
      process.stderr.write(logLine(new Date(), 'error', `unrecognized command: ${name}`));
      throw new ExitWith(1);
    });
}

function commandPath(command: Command): string {
  const names: string[] = [];
  for (let at: Command | null = command; at?.parent; at = at.parent) names.unshift(at.name());
  return names.join(' ');
}

/** `--flag`, `--flag=true`, `--flag=False`; see `withBooleanValues`. */
export function booleanOption(flag: string, description: string, initial = false): Option {
  return new Option(`${flag} <true|false>`, description).argParser(parseBoolean).default(initial);
}

function booleanFlags(command: Command): Set<string> {
  const flags = new Set<string>();
  for (const option of command.options) {
    if (option.flags.endsWith('<true|false>') && option.long) flags.add(option.long);
  }
  for (const child of command.commands) for (const flag of booleanFlags(child)) flags.add(flag);
  return flags;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function globals(command: Command): GlobalFlags {
  return command.optsWithGlobals();
}

function addReplicaCommands(program: Command): void {
  const load = () => import('./replica-commands.ts');
  program
    .command('add-replica [address]')
    .alias('add')
    .description('rebuild a replica and add it')
    .option('--size <size>', 'nominal volume size', parseSize)
    .option('--current-size <size>', 'volume size before a pending expansion', parseSize)
    .addOption(booleanOption('--restore', 'add it WO without copying: its content comes from a restore'))
    .addOption(booleanOption('--fast-sync', 'trust checksum files'))
    .addOption(booleanOption('--sync-local', 'accepted, without effect'))
    .option('--file-sync-http-client-timeout <seconds>', 'of one file transfer request', parseCount, 5)
    .option('--grpc-timeout-seconds <seconds>', 'of the whole copy; 0 = a day', parseCount, 0)
    .option('--replica-instance-name <name>', 'instance that is meant', '')
    .action(async (address: string | undefined, _options: unknown, command: Command) => {
      await (await load()).add(globals(command), address, command.opts());
    });
  program
    .command('verify-rebuild-replica [address]')
    .alias('verify-rebuild')
    .description('turn a WO replica RW after checks')
    .option('--replica-instance-name <name>', 'instance that is meant', '')
    .action(async (address: string | undefined, _options: unknown, command: Command) => {
      const { replicaInstanceName } = command.opts<{ replicaInstanceName: string }>();
      await (await load()).verify(globals(command), address, replicaInstanceName);
    });
  program
    .command('ls-replica')
    .alias('ls')
    .description('list replicas')
    .action(async (_options: unknown, command: Command) => print(await (await load()).list(globals(command))));
  program
    .command('rm-replica [address]')
    .alias('rm')
    .description('remove a replica')
    .action(async (address: string | undefined, _options: unknown, command: Command) => {
      await (await load()).remove(globals(command), address);
    });
  program
    .command('update-replica [address]')
    .alias('update')
    .description("set a replica's mode")
    .option('--mode <mode>', 'RW or ERR', '')
    .action(async (address: string | undefined, _options: unknown, command: Command) => {
      await (await load()).update(globals(command), address, command.opts<{ mode: string }>().mode);
    });
  program
    .command('replica-rebuild-status')
    .alias('rebuild-status')
    .description('progress of rebuilds')
    .action(async (_options: unknown, command: Command) => print(await (await load()).rebuildStatus(globals(command))));
  program
    .command('replica-rebuild-control [address]')
    .alias('rebuild-control')
    .description('hold the rebuild of a replica back, or of all')
    .addOption(booleanOption('--pause', 'copy nothing until --resume'))
    .addOption(booleanOption('--resume', 'go on where it was paused'))
    .option('--bandwidth-limit <size>', 'of what is written, a second; 0 = none', parseSize)
    .action(async (address: string | undefined, _options: unknown, command: Command) => {
      await (await load()).changeRebuild(globals(command), address, command.opts());
    });
  program
    .command('sync-agent-server-reset')
    .description('clear the state of all sync agents')
    .action(async (_options: unknown, command: Command) => (await load()).resetSyncAgents(globals(command)));
}

function addSnapshotCommands(program: Command): void {
  const load = () => import('./snapshot-commands.ts');
  const snapshots = program.command('snapshots').alias('snapshot').description('snapshots of the volume');
  const listing = async (_options: unknown, command: Command) => print(await (await load()).list(globals(command)));
  snapshots.argument('[words...]').action(async (_words: string[], _options: unknown, command: Command) => {
    print(await (await load()).list(globals(command)));
  });
  snapshots.command('ls').action(listing);
  snapshots
    .command('create [name]')
    .option('--label <key=value>', 'may be given several times', collect)
    .addOption(booleanOption('--freeze-fs', 'freeze the file system meanwhile'))
    .action(async (name: string | undefined, _options: unknown, command: Command) => {
      print(await (await load()).create(globals(command), name, command.opts()));
    });
  snapshots.command('revert [name]').action(async (name: string | undefined, _options: unknown, command: Command) => {
    await (await load()).revert(globals(command), name);
  });
  snapshots.command('rm [names...]').action(async (names: string[], _options: unknown, command: Command) => {
    if (!(await (await load()).remove(globals(command), names))) throw new ExitWith(1);
  });
  snapshots
    .command('info')
    .action(async (_options: unknown, command: Command) => print(await (await load()).info(globals(command))));
  snapshots
    .command('purge')
    .addOption(booleanOption('--skip-if-in-progress', 'a purge that runs already is success'))
    .action(async (_options: unknown, command: Command) => {
      await (await load()).purge(globals(command), command.opts<{ skipIfInProgress: boolean }>().skipIfInProgress);
    });
  snapshots
    .command('purge-status')
    .action(async (_options: unknown, command: Command) =>
      print(await (await load()).showPurgeStatus(globals(command))),
    );
  snapshots
    .command('clone')
    .option('--snapshot-name <name>', 'source snapshot', '')
    .option('--from-controller-address <address>', 'source engine', '')
    .option('--from-volume-name <name>', 'identity of the source', '')
    .option('--from-controller-instance-name <name>', 'identity of the source', '')
    .addOption(booleanOption('--export-backing-image-if-exist', 'forwarded'))
    .option('--file-sync-http-client-timeout <seconds>', 'of one file transfer request', parseCount, 5)
    .option('--grpc-timeout-seconds <seconds>', 'of the whole copy; 0 = a day', parseCount, 0)
    .action(async (_options: unknown, command: Command) => (await load()).clone(globals(command), command.opts()));
  snapshots
    .command('clone-status')
    .action(async (_options: unknown, command: Command) =>
      print(await (await load()).showCloneStatus(globals(command))),
    );
  addHashCommands(snapshots, { hash: 'hash', cancel: 'hash-cancel', status: 'hash-status' });
  addHashCommands(program, { hash: 'hash', cancel: 'hash-cancel', status: 'hash-status' });
}

function addHashCommands(parent: Command, names: { hash: string; cancel: string; status: string }): void {
  const load = () => import('./snapshot-commands.ts');
  parent
    .command(`${names.hash} [name]`)
    .addOption(booleanOption('--rehash', 'also what has a checksum already'))
    .action(async (name: string | undefined, _options: unknown, command: Command) => {
      await (await load()).hash(globals(command), name, command.opts<{ rehash: boolean }>().rehash);
    });
  parent
    .command(`${names.cancel} [name]`)
    .action(async (name: string | undefined, _options: unknown, command: Command) => {
      await (await load()).hashCancel(globals(command), name);
    });
  parent
    .command(`${names.status} [name]`)
    .action(async (name: string | undefined, _options: unknown, command: Command) => {
      print(await (await load()).showHashStatus(globals(command), name));
    });
}

function addVolumeCommands(program: Command): void {
  const load = () => import('./volume-commands.ts');
  program
    .command('start-with-replicas [addresses...]')
    .alias('start')
    .option('--size <size>', 'nominal volume size', parseSize)
    .option('--current-size <size>', 'volume size before a pending expansion', parseSize)
    .action(async (addresses: string[], _options: unknown, command: Command) => {
      await (await load()).startWithReplicas(globals(command), addresses, command.opts());
    });
  program
    .command('info')
    .description('what the engine says about the volume')
    .action(async (_options: unknown, command: Command) => print(await (await load()).info(globals(command))));
  program
    .command('io-status')
    .description('what the engine does with I/O and why, its epoch and its membership')
    .action(async (_options: unknown, command: Command) => print(await (await load()).ioStatus(globals(command))));
  program
    .command('expand')
    .option('--size <bytes>', 'new size in bytes', parseBytes)
    .action(async (_options: unknown, command: Command) => {
      await (await load()).expand(globals(command), command.opts<{ size?: number }>().size);
    });
  program
    .command('unmap-mark-snap-chain-removed')
    .alias('unmap-mark-snap')
    .addOption(booleanOption('--enable', 'mark on trim'))
    .addOption(booleanOption('--disable', 'do not mark on trim'))
    .action(async (_options: unknown, command: Command) => {
      const { enable, disable } = command.opts<{ enable: boolean; disable: boolean }>();
      await (await load()).unmapMark(globals(command), enable, disable);
    });
  program
    .command('journal')
    .option('--limit <n>', 'entries; 0 = all', parseCount, 0)
    .action(async (_options: unknown, command: Command) => {
      await (await load()).journal(globals(command), command.opts<{ limit: number }>().limit);
    });
  program
    .command('version')
    .addOption(booleanOption('--client-only', 'do not ask the engine'))
    .action(async (_options: unknown, command: Command) => {
      const { clientOnly } = command.opts<{ clientOnly: boolean }>();
      print(await (await load()).version(globals(command), clientOnly));
    });
  const frontend = program.command('frontend').description('how the volume is reached');
  refuseOthers(frontend);
  frontend.command('start [name]').action(async (name: string | undefined, _options: unknown, command: Command) => {
    await (await load()).frontendStart(globals(command), name);
  });
  frontend
    .command('shutdown')
    .action(async (_options: unknown, command: Command) => (await load()).frontendShutdown(globals(command)));
  frontend
    .command('cleanup')
    .description('remove what a dead engine left on this node')
    .option('--volume <name>', 'of one volume')
    .addOption(booleanOption('--all', 'of all volumes of this node'))
    .action(async (_options: unknown, command: Command) => {
      const { cleanup } = await import('./frontend-cleanup.ts');
      const code = await cleanup(command.opts());
      if (code !== 0) throw new ExitWith(code);
    });
}
