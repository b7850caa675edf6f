/** Entry of the package for other packages' tests: the program itself is `main.ts`. */
export { startDaemon, type Daemon, type DaemonOptions } from './daemon.ts';
