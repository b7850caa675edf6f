/** Why an object is refused: what people and programs get to see. */

/** HTTP code of a refusal: 422 the object is wrong, 403 not now or not this way, 400 and 500 as usual. */
export type ProblemCode = 400 | 403 | 422 | 500;

/** One reason. */
export interface Problem {
  /** Path of the field, such as `spec.size`; empty when it is about the whole object. */
  field: string;
  message: string;
  code: ProblemCode;
}

/** A wrong field. */
export function invalid(field: string, message: string): Problem {
  return { field, message, code: 422 };
}

/** Not allowed, whatever the field says. */
export function forbidden(message: string, field = ''): Problem {
  return { field, message, code: 403 };
}

/** Thrown by mutations that cannot go on. */
export class AdmissionError extends Error {
  override readonly name = 'AdmissionError';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(({ message }) => message).join('; '));
    this.problems = problems;
  }
}
