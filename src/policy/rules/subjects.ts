import { glob } from '../../catalog/glob.ts';
import type { Identity } from '../../model.ts';
import type { Subject } from './schema.ts';

type Test = (identity: Identity) => boolean;

/** Whether an identity is one of those that a rule is for. */
export function subjectTest(subjects: readonly Subject[] | undefined): Test {
  if (subjects === undefined) return () => true;
  const tests = subjects.map(one);
  return (identity) => tests.some((test) => test(identity));
}

/**
 * Groups without one of which no identity can be meant; undefined where a rule may be for others, too. Lets an
 * identity skip the rules of groups that it is not in.
 */
export function requiredGroups(subjects: readonly Subject[] | undefined): readonly string[] | undefined {
  if (subjects === undefined) return undefined;
  const groups: string[] = [];
  for (const subject of subjects) {
    if (subject.groups === undefined) return undefined;
    groups.push(...subject.groups);
  }
  return groups;
}

function one(subject: Subject): Test {
  const tests: Test[] = [];
  const { anonymous, groups, keys, subjects, issuers, clients, claims } = subject;
  if (anonymous !== undefined) tests.push((identity) => (identity.method === 'none') === anonymous);
  if (groups) tests.push((identity) => groups.some((group) => identity.groups.includes(group)));
  if (keys) tests.push(globsOver(keys, (identity) => identity.key));
  if (subjects) tests.push(globsOver(subjects, (identity) => identity.subject));
  if (issuers) tests.push((identity) => identity.issuer !== undefined && issuers.includes(identity.issuer));
  if (clients) tests.push((identity) => identity.client !== undefined && clients.includes(identity.client));
  for (const [path, wanted] of Object.entries(claims ?? {})) tests.push(claimTest(path, wanted));
  return (identity) => tests.every((test) => test(identity));
}

function globsOver(patterns: readonly string[], of: (identity: Identity) => string | undefined): Test {
  const globs = patterns.map(glob);
  return (identity) => {
    const value = of(identity);
    return value !== undefined && globs.some((matches) => matches(value));
  };
}

type Scalar = string | number | boolean;

function claimTest(path: string, wanted: Scalar | readonly Scalar[]): Test {
  const tests = [wanted].flat().map(scalarTest);
  return ({ claims }) => {
    const value = claimAt(claims, path);
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    return values.some((each) => tests.some((test) => test(each)));
  };
}

function scalarTest(wanted: Scalar): (value: unknown) => boolean {
  if (typeof wanted !== 'string') return (value) => value === wanted;
  const matches = glob(wanted);
  return (value) => typeof value === 'string' && matches(value);
}

/**
 * A claim by its name, or else by the way to it: `realm_access.roles`. The name goes first, since names such as
 * `https://example.com/groups` have dots. Only own properties count.
 */
export function claimAt(claims: Readonly<Record<string, unknown>>, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path];
  let value: unknown = claims;
  for (const step of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Record<string, unknown>)[step];
  }
  return value;
}
