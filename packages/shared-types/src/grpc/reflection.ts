/** Server reflection, v1 and v1alpha: what tools like grpcurl ask to learn a server's services. */
import { ServerReflection as ReflectionV1 } from '../generated/grpc-reflection-v1.ts';
import { ServerReflection as ReflectionV1Alpha } from '../generated/grpc-reflection-v1alpha.ts';
import type { ServerReflectionRequest, ServerReflectionResponse } from '../generated/grpc-reflection-v1.ts';
import { containingFile, descriptorWithImports } from './file-descriptor.ts';
import { Code, errorText, statusOf, rpcError } from './rpc-error.ts';
import type { RpcServer } from './server.ts';
import type { ProtoInput } from './service-token.ts';

type Answer = ProtoInput<ServerReflectionResponse>;

/** Adds both versions; call it after all other services were added. */
export function addReflection(server: RpcServer): void {
  async function* answers(requests: AsyncIterable<ServerReflectionRequest>): AsyncGenerator<Answer> {
    for await (const request of requests) yield { original_request: request, ...answer(request, server) };
  }
  server.add(ReflectionV1, { ServerReflectionInfo: answers });
  server.add(ReflectionV1Alpha, { ServerReflectionInfo: answers });
}

function answer(request: ServerReflectionRequest, server: RpcServer): Answer {
  try {
    if (request.list_services !== null) {
      const names = server.services().map(({ name }) => name);
      return { list_services_response: { service: names.toSorted().map((name) => ({ name })) } };
    }
    const files = server.services().map(({ file }) => file);
    let file: string | null = null;
    if (request.file_by_filename !== null) file = request.file_by_filename;
    else if (request.file_containing_symbol !== null) file = containingFile(files, request.file_containing_symbol);
    if (file === null) throw rpcError(Code.NotFound, 'extensions are not used here');
    return { file_descriptor_response: { file_descriptor_proto: descriptorWithImports(file) } };
  } catch (error) {
    const { code } = statusOf(error);
    const errorCode = code === Code.Unknown ? Code.NotFound : code;
    return { error_response: { error_code: errorCode, error_message: errorText(error) } };
  }
}
