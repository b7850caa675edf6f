/** `controller`, `replica` and `sync-agent`: flags and defaults of the daemons. */
import { Option, type Command } from 'commander';
import { collect, parseBoolean, parseCount, parseSize } from './parse-flags.ts';
import { logLine } from './go-output.ts';

function booleanOption(flag: string, description: string, initial = false): Option {
  return new Option(`${flag} <true|false>`, description).argParser(parseBoolean).default(initial);
}

export function addDaemonCommands(program: Command): void {
  addController(program);
  addReplica(program);
}

function addController(program: Command): void {
  program
    .command('controller [volume]')
    .description('run an engine')
    .option('--listen <address>', 'gRPC address', 'localhost:9501')
    .option('--size <size>', 'nominal volume size', parseSize)
    .option('--current-size <size>', 'volume size before a pending expansion', parseSize)
    .option('--frontend <name>', 'tgt-blockdev, tgt-iscsi, socket, nbd or none', '')
    .addOption(new Option('--enable-backend <name>', 'tcp').argParser(collect).default(['tcp']))
    .option('--replica <address>', 'may be given several times', collect)
    .addOption(booleanOption('--upgrade', 'take the frontend over from a running engine'))
    .addOption(booleanOption('--disableRevCounter', 'no revision counter'))
    .addOption(booleanOption('--salvageRequested', 'start with the newest of failed replicas'))
    .option('--engine-replica-timeout <seconds>', '8 to 30', parseCount, 8)
    .option('--data-server-protocol <protocol>', 'tcp or unix', 'tcp')
    .addOption(booleanOption('--unmap-mark-snap-chain-removed', 'trim marks snapshots as removed'))
    .option('--file-sync-http-client-timeout <seconds>', 'of one file transfer request', parseCount, 5)
    .option('--snapshot-max-count <n>', 'snapshots of the volume', parseCount, 250)
    .option('--snapshot-max-size <size>', 'of all snapshots; 0 = no limit', parseSize)
    .option('--epoch <n>', 'of this engine start; 0 = no fencing', parseCount, 0)
    .option('--membership <json>', 'membership record that the control plane holds')
    .option('--io-hold-timeout <seconds>', 'I/O waits for replicas at most this long; 0 = for ever', parseCount, 300)
    .option('--blockdev-driver <driver>', 'how tgt-blockdev is made: auto, fuse or nbd', 'auto')
    .option('--nbd-listen <address>', 'HOST:PORT of the nbd frontend', '')
    .option('--nbd-tls-cert <path>', 'PEM certificate of the nbd frontend: clients are served in TLS only', '')
    .option('--nbd-tls-key <path>', 'PEM key of that certificate', '')
    .option('--nbd-tls-ca <path>', 'PEM authorities: clients need a certificate of one of them', '')
    .option('--iscsi-listen <address>', 'HOST:PORT of the tgt-iscsi frontend', '')
    .option(
      '--iscsi-authentication <method>',
      'of the tgt-iscsi frontend: none, or chap with the accounts in the folder ISCSI_CHAP_DIR',
      'none',
    )
    .action(async (volume: string | undefined, _options: unknown, command: Command) => {
      const { runControllerCommand } = await import('./controller-command.ts');
      const { engineInstanceName } = command.optsWithGlobals<{ engineInstanceName: string }>();
      process.exit(await runControllerCommand(volume, command.opts(), engineInstanceName));
    });
}

interface ReplicaFlags {
  readonly listen: string;
  readonly size?: number;
  readonly backingFile: string;
  readonly syncAgent: boolean;
  readonly syncAgentPortCount: number;
  readonly disableRevCounter: boolean;
  readonly dataServerProtocol: string;
  readonly unmapMarkDiskChainRemoved: boolean;
  readonly replicaInstanceName: string;
  readonly snapshotMaxCount: number;
  readonly snapshotMaxSize?: number;
}

function addReplica(program: Command): void {
  program
    .command('replica [directory]')
    .description('run a replica')
    .allowExcessArguments()
    .option('--listen <address>', 'gRPC address; data on the port after it, sync agent on the next', 'localhost:9502')
    .option('--size <size>', 'create the replica when the directory is empty', parseSize)
    .option('--backing-file <path>', 'file, or directory with exactly one', '')
    .addOption(booleanOption('--sync-agent', 'run the sync agent', true))
    .option('--sync-agent-port-count <n>', 'ports for file transfers', parseCount, 10)
    .option('--restore-from <url>', 'accepted, without effect', '')
    .option('--restore-name <name>', 'accepted, without effect', '')
    .addOption(booleanOption('--disableRevCounter', 'no revision counter'))
    .option('--data-server-protocol <protocol>', 'tcp or unix', 'tcp')
    .addOption(booleanOption('--unmap-mark-disk-chain-removed', 'trim marks snapshots as removed'))
    .option('--replica-instance-name <name>', 'own instance name', '')
    .option('--snapshot-max-count <n>', 'snapshots', parseCount, 250)
    .option('--snapshot-max-size <size>', 'of all snapshots; 0 = no limit', parseSize)
    .action(async (directory: string | undefined, _options: unknown, command: Command) => {
      if (directory === undefined || command.args.length !== 1) throw new Error('directory name is required');
      const { runReplica } = await import('../replica/run-replica.ts');
      const flags = command.opts<ReplicaFlags>();
      const { volumeName } = command.optsWithGlobals<{ volumeName: string }>();
      const code = await runReplica({
        directory,
        listen: flags.listen,
        sizeBytes: flags.size ?? null,
        volumeName,
        instanceName: flags.replicaInstanceName,
        backingFile: flags.backingFile,
        isSyncAgentOn: flags.syncAgent,
        syncAgentPortCount: flags.syncAgentPortCount,
        isRevisionCounterDisabled: flags.disableRevCounter,
        dataServerProtocol: flags.dataServerProtocol,
        isUnmapMarkingDiskChainRemoved: flags.unmapMarkDiskChainRemoved,
        snapshotMaxCount: flags.snapshotMaxCount,
        snapshotMaxSizeBytes: flags.snapshotMaxSize ?? 0,
        environment: process.env,
        log: (text) => process.stderr.write(logLine(new Date(), 'info', text)),
      });
      process.exit(code);
    });
}
