/**
 * A volume as an iSCSI target, LUN 1, for initiators of every kind over TCP; `tgt-iscsi` as upstream calls it.
 *
 * A session survives the engine as far as its initiator does: that logs in anew to the same name and address, is told so by a
 * unit attention, and sends again what was not answered. Registrations and reservations live as long as the frontend.
 */
import { randomBytes } from 'node:crypto';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Logger } from 'pino';
import { SENSE } from '../../protocol/scsi.ts';
import type { BlockTarget, Frontend } from '../frontend.ts';
import { PayloadBudget } from '../stream/payload-budget.ts';
import type { ChapOptions } from './chap.ts';
import { IscsiConnection } from './iscsi-connection.ts';
import { ISCSI_CONNECTIONS_MAX, ISCSI_LUN, ISCSI_PAYLOAD_BYTES_TOTAL, ISCSI_TICK_MS } from './limits.ts';
import { LogicalUnit } from './logical-unit.ts';
import type { LoginOptions, SessionIdentity } from './login.ts';
import { LOGIN } from './login.ts';
import type { PortClaim } from './port-claim.ts';

export interface IscsiFrontendOptions {
  readonly target: BlockTarget;
  readonly volumeName: string;
  readonly host: string;
  /** released at the end, or abandoned */
  readonly claim: PortClaim;
  /** asked at each login; null: any initiator, without a secret, as with upstream */
  readonly chap: { current(): ChapOptions } | null;
  readonly logger: Logger;
}

/** Upstream's name of a volume's target. */
export const targetNameOf = (volumeName: string): string =>
  `iqn.2019-10.io.longhorn:${volumeName.replaceAll('_', ':')}`;

/** Opens the target; rejects when none of the ports can be listened on. */
export async function openIscsiFrontend(options: IscsiFrontendOptions): Promise<Frontend> {
  const { target, host, logger, claim } = options;
  const targetName = targetNameOf(options.volumeName);
  const unit = new LogicalUnit(target, targetName);
  const budget = new PayloadBudget(ISCSI_PAYLOAD_BYTES_TOTAL);
  const connections = new Set<IscsiConnection>();
  const admit = admission(connections);
  let isClosing = false;
  let isClosed = false;
  let left: () => void = () => undefined;
  const allLeft = new Promise<void>((resolve) => (left = resolve));
  const leave = (): void => {
    if (isClosing && connections.size === 0) left();
  };
  const accept = (socket: Socket): void => {
    if (connections.size >= ISCSI_CONNECTIONS_MAX || isClosing) {
      socket.destroy();
      return;
    }
    const initiator = `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`;
    const portal = portalText(socket.localAddress ?? host, socket.localPort ?? 0);
    const whenEnded = (problem: string): void => {
      connections.delete(connection);
      if (problem !== '') logger.warn({ initiator, problem }, 'an iSCSI connection was closed');
      leave();
    };
    const login: LoginOptions = {
      targetName,
      chap: options.chap?.current() ?? null,
      random: randomBytes,
      admit,
    };
    const connection = new IscsiConnection(socket, { unit, budget, login, portal, whenEnded });
    connections.add(connection);
  };
  const server = createServer({ pauseOnConnect: true }, accept);
  const address = await listenAsClaimed(server, host, claim);
  const timer = setInterval(() => {
    for (const connection of connections) connection.tick();
  }, ISCSI_TICK_MS);
  timer.unref();
  const endpoint = `iscsi://${portalText(address.address, address.port)}/${targetName}/${ISCSI_LUN}`;
  return {
    name: 'tgt-iscsi',
    endpoint: () => (isClosed ? '' : endpoint),
    expand() {
      unit.attend(SENSE.CAPACITY_CHANGED);
      return Promise.resolve();
    },
    async close() {
      if (isClosing) return allLeft;
      isClosing = true;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const connection of connections) connection.leave();
      leave();
      // Time goes on for those who leave: a peer that is gone does not hold up the end.
      await Promise.all([closed, allLeft]);
      clearInterval(timer);
      claim.release();
      isClosed = true;
    },
  };
}

/** Sessions by initiator and ISID: a new one takes the place of the one before, whose tasks end unanswered. */
function admission(connections: ReadonlySet<IscsiConnection>): LoginOptions['admit'] {
  let lastTsih = 0;
  return (identity: SessionIdentity) => {
    const before = [...connections].find(
      ({ nexus }) => nexus !== null && nexus.initiatorName === identity.initiatorName && nexus.isid === identity.isid,
    );
    if (identity.tsih !== 0 && before?.login.identity.tsih !== identity.tsih) return { status: LOGIN.NO_SUCH_SESSION };
    if (!identity.isDiscovery) before?.stream.close('its session was reinstated');
    lastTsih = (lastTsih % 0xffff) + 1;
    return { tsih: identity.tsih === 0 ? lastTsih : identity.tsih };
  };
}

/** When it fails, nobody listens and the claim is abandoned. */
async function listenAsClaimed(server: Server, host: string, claim: PortClaim): Promise<AddressInfo> {
  try {
    await listenOnFirst(server, host, claim.ports);
    const address = server.address() as AddressInfo;
    claim.taken(address.port);
    return address;
  } catch (error) {
    server.close();
    claim.abandon();
    throw error;
  }
}

async function listenOnFirst(server: Server, host: string, ports: readonly number[]): Promise<void> {
  for (const [i, port] of ports.entries()) {
    const problem = await new Promise<NodeJS.ErrnoException | null>((resolve) => {
      server.once('error', resolve);
      server.listen(port, host, () => {
        server.removeListener('error', resolve);
        resolve(null);
      });
    });
    if (problem === null) return;
    if (problem.code !== 'EADDRINUSE' || i === ports.length - 1) throw problem;
  }
}

function portalText(address: string, port: number): string {
  const plain = address.startsWith('::ffff:') ? address.slice(7) : address;
  return plain.includes(':') ? `[${plain}]:${port}` : `${plain}:${port}`;
}
