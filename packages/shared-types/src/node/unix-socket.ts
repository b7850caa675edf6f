/** Unix sockets whose files may outlive who listened on them. */
import { connect } from 'node:net';

/** Whether nobody listens on a unix socket any more: only then does the kernel refuse. */
export function isDeadSocket(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
}
