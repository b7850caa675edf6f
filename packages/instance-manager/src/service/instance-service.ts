/** The service `imrpc.InstanceService`: processes as the manager sees them. */
import {
  BackendStoreDriver,
  DataEngine,
  type InstanceResponse,
  type InstanceServiceMethods,
  type InstanceSpec,
} from '@longhorn/shared-types/generated/imrpc';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { ServiceHandlers } from '@longhorn/shared-types/grpc/server';
import type { ProtoInput } from '@longhorn/shared-types/grpc/service-token';
import type { LogLevels } from '../log-levels.ts';
import type { ProcessSnapshot } from '../process/managed-process.ts';
import type { ProcessManager } from '../process/process-manager.ts';
import { kindOfProcess, type ProcessSpec } from '../process/process-spec.ts';
import { versionResponse } from '../version.ts';
import { required, requireV1 } from './data-engine.ts';

function instanceResponse(process: ProcessSnapshot, type: string, deleted = false): ProtoInput<InstanceResponse> {
  const { spec, ports } = process;
  const isEngine = type === 'engine';
  return {
    spec: {
      backend_store_driver: BackendStoreDriver.v1,
      data_engine: DataEngine.DATA_ENGINE_V1,
      name: spec.name,
      type,
      port_count: spec.portCount,
      port_args: spec.portArgs,
      process_instance_spec: { binary: spec.binary, args: process.args },
    },
    status: {
      state: process.state,
      error_msg: process.errorMessage,
      port_start: ports?.start ?? 0,
      port_end: ports?.end ?? 0,
      target_port_start: isEngine ? (ports?.start ?? 0) : 0,
      target_port_end: isEngine ? (ports?.end ?? 0) : 0,
      conditions: { ...process.conditions },
      uuid: process.uuid,
    },
    deleted,
  };
}

function requestedSpec(given: InstanceSpec | null): { spec: ProcessSpec; type: string } {
  const instance = required(given, 'spec');
  requireV1(instance.data_engine);
  const command = instance.process_instance_spec;
  if (!command) {
    throw rpcError(Code.InvalidArgument, 'ProcessInstanceSpec is required for longhorn data engine');
  }
  const { name, type, port_count: portCount, port_args: portArgs } = instance;
  return { spec: { name, binary: command.binary, args: command.args, portCount, portArgs }, type };
}

function refuse(action: string): never {
  throw rpcError(Code.Unimplemented, `v1 data engine instance ${action} is not supported`);
}

async function* logResponses(lines: AsyncIterable<string>): AsyncGenerator<{ line: string }> {
  for await (const line of lines) yield { line };
}

/** The first at once, beyond upstream: who lists when it comes misses nothing that changed before the stream stood. */
export async function* notifications(updates: AsyncIterable<unknown>): AsyncGenerator<Record<never, never>> {
  yield {};
  for await (const _update of updates) yield {};
}

export function instanceService(manager: ProcessManager, levels: LogLevels): ServiceHandlers<InstanceServiceMethods> {
  return {
    InstanceCreate: ({ spec: given }) => {
      const { spec, type } = requestedSpec(given);
      return instanceResponse(manager.create(spec).snapshot(), type);
    },
    InstanceDelete: ({ name, type, uuid, data_engine: dataEngine, keepDevice }) => {
      requireV1(dataEngine);
      return instanceResponse(manager.delete(name, uuid, keepDevice).snapshot(), type, true);
    },
    InstanceGet: ({ name, type, data_engine: dataEngine }) => {
      requireV1(dataEngine);
      return instanceResponse(manager.get(name).snapshot(), type);
    },
    InstanceList: () => ({
      instances: Object.fromEntries(
        manager
          .list()
          .map((process) => [
            process.spec.name,
            instanceResponse(process.snapshot(), kindOfProcess(process.spec.name)),
          ]),
      ),
    }),
    InstanceLog: ({ name, data_engine: dataEngine }) => {
      requireV1(dataEngine);
      return logResponses(manager.log(name));
    },
    InstanceWatch: (_request, { signal }) => notifications(manager.watch(signal)),
    InstanceReplace: async ({ spec: given, terminate_signal: signal }) => {
      const { spec, type } = requestedSpec(given);
      return instanceResponse((await manager.replace(spec, signal)).snapshot(), type);
    },
    InstanceSuspend: () => refuse('suspend'),
    InstanceResume: () => refuse('resume'),
    InstanceSwitchOverTarget: () => refuse('target switch over'),
    InstanceDeleteTarget: () => refuse('target delete'),
    LogSetLevel: ({ data_engine: dataEngine, level }) => {
      requireV1(dataEngine);
      levels.set(level);
      return {};
    },
    LogSetFlags: () => ({}),
    LogGetLevel: () => ({ level: levels.get() }),
    LogGetFlags: () => ({ flags: '' }),
    VersionGet: versionResponse,
  };
}
