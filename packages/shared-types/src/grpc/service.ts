/** Service definitions for @grpc/grpc-js, made from the embedded schemas on first use. */
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { messageCodec, type MessageCodec } from './codec.ts';
import { fileSchema, type MethodSchema } from './schema.ts';
import type { ServiceToken } from './service-token.ts';

const definitions = new Map<string, ServiceDefinition>();

function lazyCodec(file: string, fullName: string): () => MessageCodec {
  let codec: MessageCodec | null = null;
  return () => (codec ??= messageCodec(file, fullName));
}

function methodDefinition(
  service: string,
  file: string,
  name: string,
  [request, response, flags]: MethodSchema,
): MethodDefinition<object, object> {
  const requestCodec = lazyCodec(file, request);
  const responseCodec = lazyCodec(file, response);
  return {
    path: `/${service}/${name}`,
    responseStream: (flags & 1) !== 0,
    requestStream: (flags & 2) !== 0,
    requestSerialize: (message) => requestCodec().encode(message),
    requestDeserialize: (bytes) => requestCodec().decode(bytes),
    responseSerialize: (message) => responseCodec().encode(message),
    responseDeserialize: (bytes) => responseCodec().decode(bytes),
  };
}

/** Definition of a service for `Server.addService` or a client; keys are the RPC names as in the .proto file. */
export function serviceDefinition(service: ServiceToken<unknown>): ServiceDefinition {
  const found = definitions.get(service.name);
  if (found) return found;
  const methods = fileSchema(service.file).services[`.${service.name}`];
  if (!methods) throw new Error(`service ${service.name} is not in ${service.file}`);
  const definition = Object.fromEntries(
    Object.entries(methods).map(([name, schema]) => [name, methodDefinition(service.name, service.file, name, schema)]),
  );
  definitions.set(service.name, definition);
  return definition;
}
