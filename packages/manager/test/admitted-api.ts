/** The API in memory with our admission rules in front of it, as a cluster has them: for tests of whole paths. */
import { CRD_KINDS, type CrdKind } from '@longhorn/shared-types';
import { resourceOf, type Datastore } from '../src/datastore/datastore.ts';
import { ApiError, type DeleteOptions, type RawObject, type Resource } from '../src/datastore/kube-transport.ts';
import { MemoryApi } from '../src/datastore/memory-api.ts';
import { decodeKind, mutate, validate, type AdmissionRequest, type Operation } from '../src/webhooks/admission.ts';
import { gatherFacts } from '../src/webhooks/admission-facts.ts';
import { AdmissionError, type Problem } from '../src/webhooks/problem.ts';
import { applyPatch } from './apply-patch.ts';

function isCrdKind(kind: string): kind is CrdKind {
  return Object.hasOwn(CRD_KINDS, kind);
}

function denied(webhook: string, problems: readonly Problem[]): ApiError {
  const message = problems.map((problem) => problem.message).join('; ');
  return new ApiError(
    problems[0]?.code ?? 500,
    'Invalid',
    `admission webhook "${webhook}.longhorn.io" denied the request: ${message}`,
  );
}

export class AdmittedApi extends MemoryApi {
  datastore: Datastore | null = null;

  async #admit(
    kind: CrdKind,
    operation: Operation,
    object: RawObject | null,
    old: RawObject | null,
  ): Promise<RawObject | null> {
    const { datastore } = this;
    const subject = object ?? old;
    if (datastore === null || subject === null) return object;
    const request: AdmissionRequest = { kind, operation, object, old };
    try {
      const facts = await gatherFacts(datastore, decodeKind(kind, subject), operation);
      const patch = mutate(request, facts);
      const admitted = object === null ? null : ({ ...applyPatch(object, patch) } as RawObject);
      const settled = admitted === null ? subject : admitted;
      const again = await gatherFacts(datastore, decodeKind(kind, settled), operation);
      const problems = validate({ ...request, object: admitted }, again);
      if (problems.length > 0) throw denied('validator', problems);
      return admitted;
    } catch (error) {
      if (error instanceof AdmissionError) throw denied('mutator', error.problems);
      throw error;
    }
  }

  override async create(resource: Resource, namespace: string, object: RawObject): Promise<RawObject> {
    const { kind } = resource;
    const isOurs = resource.group === 'longhorn.io' && isCrdKind(kind);
    const admitted = isOurs ? await this.#admit(kind, 'CREATE', object, null) : object;
    return super.create(resource, namespace, admitted ?? object);
  }

  override async replace(
    resource: Resource,
    namespace: string,
    object: RawObject,
    subresource: '' | 'status',
  ): Promise<RawObject> {
    const { kind } = resource;
    if (subresource === 'status' || resource.group !== 'longhorn.io' || !isCrdKind(kind)) {
      return super.replace(resource, namespace, object, subresource);
    }
    const old = await super.get(resourceOf(kind), namespace, object.metadata.name);
    const admitted = await this.#admit(kind, 'UPDATE', object, old);
    return super.replace(resource, namespace, admitted ?? object, subresource);
  }

  override async delete(resource: Resource, namespace: string, name: string, options: DeleteOptions): Promise<void> {
    const { kind } = resource;
    if (resource.group === 'longhorn.io' && isCrdKind(kind)) {
      const old = await super.get(resource, namespace, name);
      await this.#admit(kind, 'DELETE', null, old);
    }
    return super.delete(resource, namespace, name, options);
  }
}
