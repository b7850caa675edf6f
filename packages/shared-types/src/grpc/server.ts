/**
 * Typed servers.
 *
 *     const server = createServer({ identity: { role: 'replica', volumeName } });
 *     server.add(ReplicaService, { ReplicaGet: () => ({ replica }) });
 *     const port = await server.listen({ host: '127.0.0.1', port: 0 });
 *
 * A handler answers with a message, a promise of one, or an async iterable for a stream; what it throws
 * becomes the call's status (`rpc-error.ts`) and never ends the process. RPCs without a handler answer Unimplemented.
 */
import type { PeerCertificate } from 'node:tls';
import {
  Server,
  ServerCredentials,
  type Metadata,
  type MethodDefinition,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { joinHostPort, type HostPort } from './address.ts';
import { identityMismatch, type ServerIdentity } from './identity.ts';
import { MESSAGE_BYTES_MAX } from './limits.ts';
import { Code, errorText, rpcError, statusOf } from './rpc-error.ts';
import { serviceDefinition } from './service.ts';
import type { BidiStream, ProtoInput, ServerStream, ServiceToken, Unary } from './service-token.ts';
import { peerNameMismatch, tlsServerCredentials, type TlsFiles } from './tls.ts';

/** What a handler may know about the call. */
export interface CallContext {
  /** aborted when the caller is gone or has canceled */
  readonly signal: AbortSignal;
  readonly metadata: Metadata;
  readonly peer: string;
}

type Handler<Method> =
  Method extends Unary<infer Request, infer Response>
    ? (request: Request, context: CallContext) => ProtoInput<Response> | Promise<ProtoInput<Response>>
    : Method extends ServerStream<infer Request, infer Response>
      ? (request: Request, context: CallContext) => AsyncIterable<ProtoInput<Response>>
      : Method extends BidiStream<infer Request, infer Response>
        ? (requests: AsyncIterable<Request>, context: CallContext) => AsyncIterable<ProtoInput<Response>>
        : never;

/** A unix socket by its absolute path. */
export interface UnixAddress {
  socketPath: string;
}

/** Every RPC of a service. */
export type ServiceHandlers<Methods> = { readonly [Name in keyof Methods]: Handler<Methods[Name]> };

export interface ServerOptions {
  /** checked before every handler of this server, health included */
  identity?: ServerIdentity;
  tls?: TlsFiles;
}

export interface RpcServer {
  /** Registers a service; RPCs that `handlers` lacks answer Unimplemented. */
  add<Methods>(service: ServiceToken<Methods>, handlers: Partial<ServiceHandlers<Methods>>): void;
  /** Names and files of the services added so far. */
  services(): readonly { name: string; file: string }[];
  /** Binds and serves; returns the port (of a unix socket some number above 0). The socket's file must not exist yet. */
  listen(address: HostPort | UnixAddress): Promise<number>;
  /** Waits for running calls, at most `graceMs`, then cuts them. */
  close(graceMs?: number): Promise<void>;
}

/** What the three kinds of call have in common. */
interface AnyCall {
  readonly metadata: Metadata;
  getPeer(): string;
  getAuthContext(): { sslPeerCertificate?: PeerCertificate };
  on(event: 'cancelled', listener: () => void): unknown;
}
type LooseHandler = (request: unknown, context: CallContext) => unknown;

function refusal(call: AnyCall, options: ServerOptions): Error | null {
  if (options.tls) {
    const certificate = call.getAuthContext().sslPeerCertificate;
    const mismatch = certificate ? peerNameMismatch(certificate) : rpcError(Code.Unauthenticated, 'no certificate');
    if (mismatch) return mismatch;
  }
  return options.identity ? identityMismatch(call.metadata, options.identity) : null;
}

function contextOf(call: AnyCall): CallContext {
  const controller = new AbortController();
  call.on('cancelled', () => controller.abort(rpcError(Code.Canceled, 'context canceled')));
  return { signal: controller.signal, metadata: call.metadata, peer: call.getPeer() };
}

function unaryHandler(
  name: string,
  handler: LooseHandler,
  options: ServerOptions,
): UntypedServiceImplementation[string] {
  return (call: ServerUnaryCall<object, object>, callback: (error: object | null, value?: object) => void) => {
    const answer = async (): Promise<object> => {
      const refused = refusal(call, options);
      if (refused) throw refused;
      const response = await handler(call.request, contextOf(call));
      if (typeof response !== 'object' || response === null) throw new Error(`${name} answered nothing`);
      return response;
    };
    const run = async (): Promise<void> => {
      let response: object;
      try {
        response = await answer();
      } catch (error) {
        callback(statusOf(error));
        return;
      }
      callback(null, response);
    };
    void run();
  };
}

/** Writes one message and waits for room when the peer reads slowly. */
async function writeMessage(
  call: ServerWritableStream<object, object>,
  message: object,
  signal: AbortSignal,
): Promise<void> {
  if (call.write(message) || signal.aborted) return;
  await new Promise<void>((resolve) => {
    call.once('drain', resolve);
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function streamHandler(handler: LooseHandler, options: ServerOptions): UntypedServiceImplementation[string] {
  return (call: ServerWritableStream<object, object> | ServerDuplexStream<object, object>) => {
    const context = contextOf(call);
    call.on('error', () => undefined);
    const run = async (): Promise<void> => {
      const refused = refusal(call, options);
      if (refused) throw refused;
      const input = 'request' in call ? call.request : call;
      for await (const message of handler(input, context) as AsyncIterable<object>) {
        if (context.signal.aborted) return;
        await writeMessage(call as ServerWritableStream<object, object>, message, context.signal);
      }
    };
    run().then(
      () => call.end(),
      (error: unknown) => {
        if (!context.signal.aborted) call.emit('error', statusOf(error));
      },
    );
  };
}

function implement(
  methods: Record<string, MethodDefinition<object, object>>,
  handlers: Record<string, unknown>,
  options: ServerOptions,
): UntypedServiceImplementation {
  const implementation: UntypedServiceImplementation = {};
  for (const [name, method] of Object.entries(methods)) {
    const given = handlers[name];
    const handler: LooseHandler =
      typeof given === 'function'
        ? (request, context) => (given as LooseHandler)(request, context)
        : () => {
            throw rpcError(Code.Unimplemented, `method ${name} not implemented`);
          };
    implementation[name] =
      method.responseStream || method.requestStream
        ? streamHandler(handler, options)
        : unaryHandler(name, handler, options);
  }
  return implementation;
}

/** A server without services. */
export function createServer(options: ServerOptions = {}): RpcServer {
  const server = new Server({
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    'grpc.enable_channelz': 0,
  });
  const added: { name: string; file: string }[] = [];
  return {
    add(service, handlers) {
      const definition = serviceDefinition(service);
      server.addService(definition, implement(definition, { ...handlers }, options));
      added.push({ name: service.name, file: service.file });
    },
    services: () => added,
    listen: (wanted) =>
      new Promise((resolve, reject) => {
        const credentials = options.tls ? tlsServerCredentials(options.tls) : ServerCredentials.createInsecure();
        const address = 'socketPath' in wanted ? `unix:${wanted.socketPath}` : joinHostPort(wanted.host, wanted.port);
        server.bindAsync(address, credentials, (error, bound) => {
          if (error) reject(new Error(`cannot listen on ${address}: ${errorText(error)}`, { cause: error }));
          else resolve(bound);
        });
      }),
    close: (graceMs = 0) =>
      new Promise((resolve) => {
        const cut = setTimeout(() => server.forceShutdown(), graceMs);
        server.tryShutdown(() => {
          clearTimeout(cut);
          resolve();
        });
      }),
  };
}
