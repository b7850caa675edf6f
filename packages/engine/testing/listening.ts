/** Whether somebody accepts connections at an address. */
import { connect } from 'node:net';

export function isListening(host: string, port: number): Promise<boolean> {
  return new Promise((answer) => {
    const socket = connect(port, host);
    socket.once('connect', () => {
      socket.destroy();
      answer(true);
    });
    socket.once('error', () => answer(false));
  });
}
