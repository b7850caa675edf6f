/** Types that tie a service's name to the shapes of its methods; nothing here exists at run time. */

export interface Unary<Request, Response> {
  kind: 'unary';
  request: Request;
  response: Response;
}
export interface ServerStream<Request, Response> {
  kind: 'server-stream';
  request: Request;
  response: Response;
}
export interface ClientStream<Request, Response> {
  kind: 'client-stream';
  request: Request;
  response: Response;
}
export interface BidiStream<Request, Response> {
  kind: 'bidi-stream';
  request: Request;
  response: Response;
}

/** Names a service; `Methods` is known to the compiler only. */
export interface ServiceToken<Methods> {
  /** full name on the wire, e.g. `ptypes.ControllerService` */
  readonly name: string;
  /** .proto file that declares it */
  readonly file: string;
  readonly methods?: Methods;
}

/** What may be given where a message is sent: any field may be missing; it then has its default value. */
export type ProtoInput<T> = T extends Buffer
  ? Uint8Array
  : T extends (infer Item)[]
    ? readonly ProtoInput<Item>[]
    : T extends object
      ? { readonly [Key in keyof T]?: ProtoInput<T[Key]> | null | undefined }
      : T;
