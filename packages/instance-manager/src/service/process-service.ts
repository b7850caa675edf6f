/** The service `ProcessManagerService`. */
import type {
  ProcessCreateRequest,
  ProcessManagerServiceMethods,
  ProcessResponse,
} from '@longhorn/shared-types/generated/nameless';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { ServiceHandlers } from '@longhorn/shared-types/grpc/server';
import type { ProcessManager, ProcessUpdate } from '../process/process-manager.ts';
import type { ProcessSnapshot } from '../process/managed-process.ts';
import type { ProcessSpec } from '../process/process-spec.ts';
import { versionResponse } from '../version.ts';

/** A process as the service tells it. */
export function processResponse(process: ProcessSnapshot, deleted = false): ProcessResponse {
  return {
    spec: {
      name: process.spec.name,
      binary: process.spec.binary,
      args: [...process.args],
      port_count: process.spec.portCount,
      port_args: [...process.spec.portArgs],
    },
    status: {
      state: process.state,
      error_msg: process.errorMessage,
      port_start: process.ports?.start ?? 0,
      port_end: process.ports?.end ?? 0,
      conditions: { ...process.conditions },
      uuid: process.uuid,
    },
    deleted,
  };
}

function requestedSpec({ spec }: Pick<ProcessCreateRequest, 'spec'>): ProcessSpec {
  if (!spec) throw rpcError(Code.InvalidArgument, 'missing required argument: spec');
  const { name, binary, args, port_count: portCount, port_args: portArgs } = spec;
  return { name, binary, args, portCount, portArgs };
}

async function* responses(updates: AsyncIterable<ProcessUpdate>): AsyncGenerator<ProcessResponse> {
  for await (const update of updates) yield processResponse(update, update.deleted);
}

async function* logResponses(lines: AsyncIterable<string>): AsyncGenerator<{ line: string }> {
  for await (const line of lines) yield { line };
}

export function processService(manager: ProcessManager): ServiceHandlers<ProcessManagerServiceMethods> {
  return {
    ProcessCreate: (request) => processResponse(manager.create(requestedSpec(request)).snapshot()),
    ProcessDelete: ({ name, uuid, keepDevice }) =>
      processResponse(manager.delete(name, uuid, keepDevice).snapshot(), true),
    ProcessGet: ({ name }) => processResponse(manager.get(name).snapshot()),
    ProcessList: () => ({
      processes: Object.fromEntries(
        manager.list().map((process) => [process.spec.name, processResponse(process.snapshot())]),
      ),
    }),
    ProcessLog: ({ name }) => logResponses(manager.log(name)),
    ProcessWatch: (_request, { signal }) => responses(manager.watch(signal)),
    ProcessReplace: async (request) => {
      const process = await manager.replace(requestedSpec(request), request.terminate_signal);
      return processResponse(process.snapshot());
    },
    VersionGet: versionResponse,
  };
}
