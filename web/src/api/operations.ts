/* Every operation of the API as a type: its path, what it takes and what it answers. All of it is read from the
   OpenAPI document; `npm run api` makes generated/schema.d.ts from the server's declarations. */

import type { paths } from "../../generated/schema";

export type Method = "GET" | "POST" | "PUT" | "DELETE";

/** The paths that have the method, as the document writes them: `/nodes/{node}/status`. */
export type PathOf<M extends Method> = {
  [P in keyof paths]: paths[P] extends Record<Lowercase<M>, object> ? P : never;
}[keyof paths];

/** What the operation takes: from the path, the query and the body together, as names are unique over all three. */
export type ParametersOf<M extends Method, P> = Sent<InPath<OperationOf<M, P>> & InQuery<OperationOf<M, P>> & InBody<OperationOf<M, P>>>;

/** What the operation answers as `data`. */
export type ResultOf<M extends Method, P> =
  OperationOf<M, P> extends { responses: { 200: { content: { "application/json": { data: infer D } } } } } ? D : never;

type OperationOf<M extends Method, P> = P extends keyof paths
  ? paths[P] extends Record<Lowercase<M>, infer O>
    ? O
    : never
  : never;

type InPath<O> = O extends { parameters: { path: infer T extends object } } ? T : unknown;
type InQuery<O> = O extends { parameters: { query?: infer T } } ? IfAny<NonNullable<T>> : unknown;
type InBody<O> = O extends { requestBody?: infer T } ? Content<IfAny<NonNullable<T>>> : unknown;
type Content<T> = T extends { content: { "application/json": infer J } } ? J : unknown;
/** `never` says that there are none: nothing to ask for. */
type IfAny<T> = [T] extends [never] ? unknown : T;

/** The transport writes booleans as the 0 and 1 that the API reads. */
type Sent<T> = { [K in keyof T]: T[K] | ([Extract<T[K], 0 | 1>] extends [never] ? never : boolean) };
