/**
 * The way of a client into TLS:
 *
 *     greeting, flags, options until STARTTLS      in plain text, on the accepted socket
 *     certificates are read, ACK
 *     handshake of TLS                             a client certificate is demanded where an authority is given
 *     further options, transmission                in TLS: `secured` takes over
 *
 * Until then a client is nobody: it costs one option's bytes, and the whole way must be done within `NBD_HANDSHAKE_TIMEOUT_MS`. What
 * came in plain text after STARTTLS is never looked at; such a session ends, as it may be another's who puts words before a client's.
 */
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import type { Handshake } from './handshake.ts';
import { NBD_HANDSHAKE_TIMEOUT_MS } from './nbd-limits.ts';
import type { NbdTlsCertificates, NbdTlsMaterial } from './tls-certificates.ts';

export interface TlsUpgradeOptions {
  readonly certificates: NbdTlsCertificates;
  /** at its beginning, with TLS required */
  readonly handshake: Handshake;
  readonly logger: Logger;
  /** The handshake goes on in TLS. */
  readonly secured: (socket: TLSSocket) => void;
  /** Called once, before `secured` or when it does not come to that. */
  readonly whenEnded: () => void;
}

export class TlsUpgrade {
  private readonly socket: Socket;
  private readonly client: string;
  private readonly options: TlsUpgradeOptions;
  private readonly timer: NodeJS.Timeout;
  private received: Buffer = Buffer.alloc(0);
  private isEnded = false;
  private readonly onData = (data: Buffer): void => this.take(data);

  /** `accepted` comes from a server with `pauseOnConnect`. */
  constructor(accepted: Socket, options: TlsUpgradeOptions) {
    this.socket = accepted;
    this.client = `${accepted.remoteAddress ?? ''}:${accepted.remotePort ?? 0}`;
    this.options = options;
    this.timer = setTimeout(() => this.end('no TLS in time'), NBD_HANDSHAKE_TIMEOUT_MS);
    this.timer.unref();
    accepted.setNoDelay(true);
    accepted.on('error', (error) => this.end(error.message));
    // A failure of TLS closes the socket first, and is told right afterwards.
    accepted.on('close', () => setImmediate(() => this.end('')));
    accepted.on('data', this.onData);
    accepted.write(options.handshake.output());
    accepted.resume();
  }

  /** Ends at once: nothing is in progress that anybody would wait for. */
  leave(): void {
    this.end('');
  }

  private take(data: Buffer): void {
    const { handshake } = this.options;
    const bytes = this.received.length === 0 ? data : Buffer.concat([this.received, data]);
    this.received = bytes.subarray(handshake.take(bytes));
    if (handshake.state !== 'tls') {
      const output = handshake.output();
      if (output.length > 0) this.socket.write(output);
      if (handshake.state === 'end') this.stop();
      return;
    }
    this.socket.off('data', this.onData);
    this.socket.pause();
    if (this.received.length > 0) this.end('it sent plain text after STARTTLS');
    else this.startTls().catch((error: unknown) => this.end(String(error)));
  }

  /** Nothing is taken any more, and the socket closes once what was said has left. */
  private stop(): void {
    this.socket.off('data', this.onData);
    this.socket.end(() => this.end(''));
  }

  private async startTls(): Promise<void> {
    const material = await this.options.certificates.current();
    if (this.isEnded) return;
    const server = createServer(serverOptions(material));
    server.once('tlsClientError', (error, socket) => {
      const { authorizationError } = socket;
      this.end(`TLS failed: ${authorizationError ? String(authorizationError) : error.message}`);
    });
    server.once('secureConnection', (socket: TLSSocket) => {
      if (this.isEnded) {
        socket.destroy();
        return;
      }
      this.isEnded = true;
      clearTimeout(this.timer);
      this.options.whenEnded();
      this.options.handshake.secured();
      this.options.secured(socket);
    });
    this.socket.write(this.options.handshake.output());
    server.emit('connection', this.socket);
  }

  private end(problem: string): void {
    if (this.isEnded) return;
    this.isEnded = true;
    clearTimeout(this.timer);
    this.socket.destroy();
    if (problem !== '') this.options.logger.warn({ client: this.client, problem }, 'an NBD client did not enter TLS');
    this.options.whenEnded();
  }
}

/** A server that never listens: it does the server's part of TLS on one connection, with the certificates of this moment. */
function serverOptions({ cert, key, ca }: NbdTlsMaterial): Parameters<typeof createServer>[0] {
  const client = ca === null ? { requestCert: false } : { requestCert: true, rejectUnauthorized: true, ca };
  return { cert, key, ...client, minVersion: 'TLSv1.2', handshakeTimeout: NBD_HANDSHAKE_TIMEOUT_MS };
}
