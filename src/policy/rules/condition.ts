import { Environment, type ASTNode } from '@marcbachmann/cel-js';
import { glob } from '../../catalog/glob.ts';

/** What a condition may look at. Numbers of `args` are doubles, as JSON has them in CEL. */
export interface ConditionContext {
  readonly identity: ConditionIdentity;
  readonly args: Readonly<Record<string, unknown>>;
  readonly meta: Readonly<Record<string, string>>;
}

/** Every field is there, so that a condition never fails for want of one; absent texts are empty. */
export interface ConditionIdentity {
  readonly subject: string;
  readonly method: string;
  readonly issuer: string;
  readonly client: string;
  readonly key: string;
  readonly groups: readonly string[];
  readonly scopes: readonly string[];
  readonly claims: Readonly<Record<string, unknown>>;
}

export interface Condition {
  readonly source: string;
  /** Which of the three the expression mentions: decides when it can be evaluated, and what may be kept. */
  readonly uses: { readonly identity: boolean; readonly args: boolean; readonly meta: boolean };
  /** `failed`: a key is missing or types don't fit. The caller takes the safe side. */
  evaluate(context: ConditionContext): 'true' | 'false' | 'failed';
}

export type CompiledCondition =
  | { readonly kind: 'ok'; readonly condition: Condition }
  /** `column` counts from 1 within the expression. */
  | { readonly kind: 'wrong'; readonly message: string; readonly column: number };

const MAX_LENGTH = 4096;

/** Expressions are read once and evaluated on every call: small enough that no evaluation is long. */
const environment = new Environment({ limits: { maxAstNodes: 500, maxDepth: 32, maxListElements: 500 } })
  .registerVariable('identity', {
    schema: {
      subject: 'string',
      method: 'string',
      issuer: 'string',
      client: 'string',
      key: 'string',
      groups: 'list<string>',
      scopes: 'list<string>',
      claims: 'map<string, dyn>',
    },
  })
  .registerVariable('args', 'map<string, dyn>')
  .registerVariable('meta', 'map<string, string>')
  .registerFunction('string.like(string): bool', (text: string, pattern: string) => glob(pattern)(text));

/**
 * A condition in CEL, the Common Expression Language. Two things of it are refused, because a caller could make
 * them slow through what it sends: `matches` (here a backtracking regular expression; `like` takes a glob) and
 * loops over arguments that mention other arguments inside (their cost is a product).
 */
export function compileCondition(source: string): CompiledCondition {
  if (source.length > MAX_LENGTH) return wrong(`is longer than ${MAX_LENGTH} characters`, 0);
  try {
    const program = environment.parse(source);
    const checked = program.check();
    if (checked.error) return wrong(checked.error.summary, checked.error.range?.start ?? 0);
    if (checked.type !== 'bool') {
      return wrong(`is of type ${checked.type ?? 'dyn'}; a condition must be true or false`, 0);
    }
    const refused = findRefused(program.ast, new Set(['args']));
    if (refused) return wrong(refused.message, refused.node.start);
    const names = new Set<string>();
    for (const node of walk(program.ast)) if (node.op === 'id') names.add(node.args);
    const condition: Condition = {
      source,
      uses: { identity: names.has('identity'), args: names.has('args'), meta: names.has('meta') },
      evaluate(context) {
        try {
          return program({ ...context }) === true ? 'true' : 'false';
        } catch {
          return 'failed';
        }
      },
    };
    return { kind: 'ok', condition };
  } catch (error) {
    const { summary, range } = error as { summary?: string; range?: { start: number } };
    return wrong(summary ?? String(error), range?.start ?? 0);
  }
}

function wrong(message: string, start: number): CompiledCondition {
  return { kind: 'wrong', message, column: start + 1 };
}

const loops = new Set(['all', 'exists', 'exists_one', 'map', 'filter']);

interface Refused {
  readonly message: string;
  readonly node: ASTNode;
}

/** @param fromArgs names in whose value the caller has a say: `args`, and loop variables that come from it */
function findRefused(node: ASTNode, fromArgs: ReadonlySet<string>): Refused | undefined {
  if (node.op === 'rcall') {
    const [name, receiver, given] = node.args;
    if (name === 'matches') {
      return { message: 'matches() can be made slow by a caller; use like() with a glob', node };
    }
    if (name === 'bind') return { message: 'cel.bind() is not taken here', node };
    const [variable] = given;
    if (loops.has(name) && variable?.op === 'id') {
      return findRefused(receiver, fromArgs) ?? loopRefused(node, receiver, variable.args, given, fromArgs);
    }
  }
  for (const child of children(node)) {
    const refused = findRefused(child, fromArgs);
    if (refused) return refused;
  }
  return undefined;
}

function loopRefused(
  loop: ASTNode,
  range: ASTNode,
  variable: string,
  given: readonly ASTNode[],
  fromArgs: ReadonlySet<string>,
): Refused | undefined {
  const inside = new Set(fromArgs);
  inside.delete(variable);
  const overArgs = mentions(range, fromArgs);
  for (const body of given.slice(1)) {
    if (overArgs && mentions(body, inside)) {
      return {
        message: 'a loop over arguments may look only at its own variable, identity and meta',
        node: loop,
      };
    }
    const refused = findRefused(body, overArgs ? new Set([variable]) : inside);
    if (refused) return refused;
  }
  return undefined;
}

function mentions(node: ASTNode, names: ReadonlySet<string>): boolean {
  for (const inner of walk(node)) if (inner.op === 'id' && names.has(inner.args)) return true;
  return false;
}

function* walk(node: ASTNode): Generator<ASTNode> {
  yield node;
  for (const child of children(node)) yield* walk(child);
}

/** Operands, however an operator holds them. */
function children(node: ASTNode): readonly ASTNode[] {
  if (!Array.isArray(node.args)) return isNode(node.args) ? [node.args] : [];
  return (node.args as readonly unknown[]).flat(2).filter(isNode);
}

function isNode(value: unknown): value is ASTNode {
  return typeof value === 'object' && value !== null && 'op' in value && 'args' in value;
}
