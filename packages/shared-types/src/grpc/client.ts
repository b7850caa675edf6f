/**
 * Typed promise clients.
 *
 *     const engine = createClient(ControllerService, 'tcp://10.0.0.1:10000', { identity: { volumeName: 'v' } });
 *     const volume = await engine.VolumeGet({});
 *     for await (const change of engine.VolumeWatch({}, { signal })) …
 *
 * Connections are made when first used; a call to a dead peer fails at once with Unavailable. All failures are
 * `RpcError`. No proxy environment variable and no DNS service configuration is honoured.
 */
import {
  ChannelCredentials,
  Client,
  type CallOptions as GrpcCallOptions,
  type ChannelOptions,
  type ClientReadableStream,
  type MethodDefinition,
  type ServiceError,
} from '@grpc/grpc-js';
import { dialAddress } from './address.ts';
import { identityMetadata, type Identity } from './identity.ts';
import { CALL_TIMEOUT_MS, KEEPALIVE_PING_MS, KEEPALIVE_TIMEOUT_MS, MESSAGE_BYTES_MAX, RECONNECT_MS } from './limits.ts';
import { Code, RpcError, rpcError } from './rpc-error.ts';
import { serviceDefinition } from './service.ts';
import type { ProtoInput, ServerStream, ServiceToken, Unary } from './service-token.ts';
import { TLS_PEER_NAME, tlsChannelCredentials, type TlsFiles } from './tls.ts';

export interface ClientOptions {
  /** sent with every call */
  identity?: Identity;
  /** limit of each unary call; default 3 min */
  timeoutMs?: number;
  tls?: TlsFiles;
  /** ping the peer every 30 s also without calls; only instance-manager services permit it */
  keepalive?: boolean;
}

export interface CallOptions {
  /** limit of this call; `Infinity` = none. Streams have none by default */
  timeoutMs?: number;
  signal?: AbortSignal;
  /** instead of the client's */
  identity?: Identity;
}

/** Messages of a stream; leaving the loop, `cancel` and the signal all end the call. */
export interface MessageStream<T> extends AsyncIterable<T> {
  cancel(): void;
}

type ClientMethod<Method> =
  Method extends Unary<infer Request, infer Response>
    ? (request: ProtoInput<Request>, options?: CallOptions) => Promise<Response>
    : Method extends ServerStream<infer Request, infer Response>
      ? (request: ProtoInput<Request>, options?: CallOptions) => MessageStream<Response>
      : never;

/** Every RPC of a service as a method. */
export type ServiceCalls<Methods> = { readonly [Name in keyof Methods]: ClientMethod<Methods[Name]> };

export type ServiceClient<Methods> = ServiceCalls<Methods> & {
  /** as given to `createClient` */
  readonly address: string;
  /** Ends all calls with Canceled. */
  close(): void;
};

function channelOptions({ keepalive, tls }: ClientOptions): ChannelOptions {
  return {
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
    'grpc.enable_channelz': 0,
    'grpc.enable_retries': 0,
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    'grpc.initial_reconnect_backoff_ms': RECONNECT_MS,
    'grpc.max_reconnect_backoff_ms': RECONNECT_MS,
    ...(tls ? { 'grpc.ssl_target_name_override': TLS_PEER_NAME } : {}),
    ...(keepalive
      ? {
          'grpc.keepalive_time_ms': KEEPALIVE_PING_MS,
          'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
          'grpc.keepalive_permit_without_calls': 1,
        }
      : {}),
  };
}

const DIAL_FAILURES: Record<string, string> = {
  ECONNREFUSED: 'connect: connection refused',
  ECONNRESET: 'connect: connection reset by peer',
  EHOSTUNREACH: 'connect: no route to host',
  ENETUNREACH: 'connect: network is unreachable',
  ENOENT: 'connect: no such file or directory',
  ETIMEDOUT: 'i/o timeout',
};

/** An error of the library in upstream's words. */
function fromServiceError(error: ServiceError, target: string): RpcError {
  if (error.code === Code.Unavailable) {
    const failure = Object.keys(DIAL_FAILURES).find((name) => error.details.includes(name));
    if (failure !== undefined && error.details.includes('connect')) {
      const dial = `dial tcp ${target}: ${DIAL_FAILURES[failure]}`;
      return rpcError(error.code, `connection error: desc = "transport: Error while dialing: ${dial}"`, {
        cause: error,
      });
    }
  }
  if (error.code === Code.DeadlineExceeded) return rpcError(error.code, 'context deadline exceeded', { cause: error });
  return rpcError(error.code, error.details, { cause: error });
}

function toRpcError(error: unknown, target: string): Error {
  if (error instanceof RpcError) return error;
  if (error instanceof Error && 'code' in error && 'details' in error && typeof error.code === 'number') {
    return fromServiceError(error as ServiceError, target);
  }
  return rpcError(Code.Internal, error instanceof Error ? error.message : String(error), { cause: error });
}

/** One connection, shared by all clients made on it. */
export class Channel {
  readonly address: string;
  private readonly target: string;
  private readonly client: Client;

  constructor(address: string, options: Pick<ClientOptions, 'tls' | 'keepalive'> = {}) {
    this.address = address;
    this.target = dialAddress(address);
    const credentials = options.tls ? tlsChannelCredentials(options.tls) : ChannelCredentials.createInsecure();
    this.client = new Client(this.target, credentials, channelOptions(options));
  }

  unary(method: MethodDefinition<object, object>, request: object, call: CallOptions): Promise<object> {
    const { path, requestSerialize, responseDeserialize } = method;
    const { signal } = call;
    const options = deadlineOptions(call.timeoutMs ?? CALL_TIMEOUT_MS);
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(rpcError(Code.Canceled, 'context canceled'));
        return;
      }
      const finished = (error: ServiceError | null, response?: object): void => {
        signal?.removeEventListener('abort', abort);
        if (error) reject(toRpcError(error, this.target));
        else if (response === undefined) reject(rpcError(Code.Internal, 'answer without a message'));
        else resolve(response);
      };
      const metadata = identityMetadata(call.identity);
      const running = this.client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        options,
        finished,
      );
      const abort = (): void => running.cancel();
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  stream(method: MethodDefinition<object, object>, request: object, call: CallOptions): MessageStream<object> {
    const { path, requestSerialize, responseDeserialize } = method;
    const options = deadlineOptions(call.timeoutMs ?? Infinity);
    const metadata = identityMetadata(call.identity);
    const running = this.client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      metadata,
      options,
    );
    return new CallStream(running, this.target, call.signal);
  }

  close(): void {
    this.client.close();
  }
}

function deadlineOptions(timeoutMs: number): GrpcCallOptions {
  return Number.isFinite(timeoutMs) ? { deadline: Date.now() + timeoutMs } : {};
}

class CallStream implements MessageStream<object> {
  private readonly running: ClientReadableStream<object>;
  private readonly target: string;
  private canceled = false;

  constructor(running: ClientReadableStream<object>, target: string, signal: AbortSignal | undefined) {
    this.running = running;
    this.target = target;
    // An error before iteration starts is kept by the stream and thrown by the loop.
    running.on('error', () => undefined);
    if (signal) {
      const abort = (): void => this.cancel();
      if (signal.aborted) abort();
      else signal.addEventListener('abort', abort, { once: true });
      running.once('close', () => signal.removeEventListener('abort', abort));
    }
  }

  cancel(): void {
    this.canceled = true;
    this.running.cancel();
  }

  /** Ends quietly when the caller canceled; any other end than success throws. */
  async *[Symbol.asyncIterator](): AsyncGenerator<object, void> {
    try {
      for await (const message of this.running) yield message as object;
    } catch (error) {
      if (this.canceled) return;
      throw toRpcError(error, this.target);
    } finally {
      this.running.cancel();
    }
  }
}

/** RPCs of one service over a channel; `defaults` hold for every call that says nothing else. */
export function clientOn<Methods>(
  channel: Channel,
  service: ServiceToken<Methods>,
  defaults: CallOptions = {},
): ServiceCalls<Methods> {
  const { timeoutMs: _unaryOnly, ...streamDefaults } = defaults;
  const calls: Record<string, unknown> = {};
  for (const [name, method] of Object.entries(serviceDefinition(service))) {
    if (method.requestStream) continue;
    calls[name] = method.responseStream
      ? (request: object, call?: CallOptions) => channel.stream(method, request, { ...streamDefaults, ...call })
      : (request: object, call?: CallOptions) => channel.unary(method, request, { ...defaults, ...call });
  }
  return calls as ServiceCalls<Methods>;
}

/** A client of one service at one address, with a connection of its own. */
export function createClient<Methods>(
  service: ServiceToken<Methods>,
  address: string,
  options: ClientOptions = {},
): ServiceClient<Methods> {
  const channel = new Channel(address, options);
  const { identity, timeoutMs } = options;
  const calls = clientOn(channel, service, {
    ...(identity ? { identity } : {}),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  });
  return { ...calls, address, close: () => channel.close() };
}
