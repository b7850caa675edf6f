/** Entry of the package: what starts the daemon. Other packages use the running daemon's APIs instead. */
export { startDaemon, type Daemon, type DaemonOptions } from './daemon.ts';
