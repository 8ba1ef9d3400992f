import { glob } from '../../catalog/glob.ts';
import type { ItemKind, ToolHints } from '../../model.ts';
import type { ObjectPattern } from './schema.ts';

/** What somebody wants to see or use. */
export interface Target {
  readonly kind: ItemKind;
  /** Canonical name of a tool or prompt; URI of a resource; text of a URI template. */
  readonly name: string;
  readonly service: string;
  /** Of tools. */
  readonly hints?: ToolHints | undefined;
  /** The profile through which it is wanted. */
  readonly profile?: string | undefined;
}

/** One alternative of a rule's `what`, in the order in which it is cheap to say no. */
export interface ObjectTest {
  readonly service: (service: string) => boolean;
  readonly profile: (profile: string | undefined) => boolean;
  /** Everything but service and profile. */
  readonly rest: (target: Target) => boolean;
  /** About all services. */
  readonly anyService: boolean;
  /** About everything that its services have. */
  readonly anything: boolean;
}

const yes = (): boolean => true;

export function objectTests(patterns: readonly ObjectPattern[] | undefined): readonly ObjectTest[] {
  return (patterns ?? [{}]).map(objectTest);
}

function objectTest(pattern: ObjectPattern): ObjectTest {
  const tests: ((target: Target) => boolean)[] = [];
  const { tools, prompts, resources, services, profiles, annotations } = pattern;
  if (annotations) tests.push(({ hints }) => hints !== undefined && hintsFit(hints, annotations));
  if (tools || prompts || resources) {
    const byKind: Record<ItemKind, (name: string) => boolean> = {
      tools: anyGlob(tools ?? []),
      prompts: anyGlob(prompts ?? []),
      resources: anyGlob(resources ?? []),
      resourceTemplates: anyGlob(resources ?? []),
    };
    tests.push(({ kind, name }) => byKind[kind](name));
  }
  return {
    service: services ? anyGlob(services) : yes,
    profile: profiles ? inProfile(profiles) : yes,
    rest: (target) => tests.every((test) => test(target)),
    anyService: services === undefined,
    anything: tests.length === 0,
  };
}

function inProfile(patterns: readonly string[]): ObjectTest['profile'] {
  const matches = anyGlob(patterns);
  return (profile) => profile !== undefined && matches(profile);
}

/** Names without wildcards are looked up, whatever their number. */
function anyGlob(patterns: readonly string[]): (name: string) => boolean {
  const exact = new Set(patterns.filter((pattern) => !/[*?]/.test(pattern)));
  const globs = patterns.filter((pattern) => /[*?]/.test(pattern)).map(glob);
  return (name) => exact.has(name) || globs.some((matches) => matches(name));
}

function hintsFit(hints: ToolHints, wanted: NonNullable<ObjectPattern['annotations']>): boolean {
  return (
    fits(wanted.readOnlyHint, hints.readOnly) &&
    fits(wanted.destructiveHint, hints.destructive) &&
    fits(wanted.idempotentHint, hints.idempotent) &&
    fits(wanted.openWorldHint, hints.openWorld)
  );
}

function fits(wanted: boolean | undefined, is: boolean): boolean {
  return wanted === undefined || wanted === is;
}
