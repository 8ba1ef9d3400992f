import { z } from 'zod';
import { compileCondition, type Condition } from './condition.ts';

/**
 * Rules as people write them, in YAML or JSON. Fields beside each other must all hold, entries of a list are
 * alternatives. Unknown fields are errors: a mistyped restriction must never fall away.
 */

export const words = (what: string) =>
  z
    .union([z.string(), z.array(z.string())], `must be ${what}, or a list of them`)
    .transform((value, context): readonly string[] => {
      const list = typeof value === 'string' ? [value] : value;
      if (list.length > 0 && list.every((word) => word.trim() !== '')) return list;
      context.issues.push({
        code: 'custom',
        input: value,
        message: 'must not be empty; leave the field out',
      });
      return z.NEVER;
    });

/** A single one counts as a list of one. */
export const oneOrMore = <Item extends z.ZodType>(item: Item) =>
  z.preprocess((value) => (Array.isArray(value) ? value : [value]), z.array(item).min(1));

/** Rules know tools and prompts by their canonical names, which have a dot. */
const canonical = (what: string) =>
  words(what).refine((names) => names.every((name) => /[.*?]/.test(name)), {
    message: 'must be a canonical name, namespace.name, as `list` prints it; or a glob such as github.*',
  });

const scalar = z.union([z.string(), z.number(), z.boolean()]);

/** Who a rule is for. */
export const subjectSchema = z.strictObject({
  /** True: only callers without proof. False: only those with one. */
  anonymous: z.boolean().optional(),
  groups: words('a group').optional(),
  /** Names of API keys; globs. */
  keys: words('the name of an API key').optional(),
  /** Globs over `Identity.subject`. */
  subjects: words('a subject').optional(),
  issuers: words('the URL of an issuer').optional(),
  /** OAuth clients. */
  clients: words('a client id').optional(),
  /** Claim (dots lead inwards) → value or values, text as a glob; a claim that is a list needs one of them. */
  claims: z
    .record(
      z.string().min(1),
      z.union([scalar, z.array(scalar).min(1)], 'must be a text, a number, true or false, or a list of them'),
    )
    .optional(),
});

/** What a rule is about. Naming tools, prompts or resources leaves out the other kinds. */
export const objectSchema = z.strictObject({
  tools: canonical('a tool').optional(),
  prompts: canonical('a prompt').optional(),
  /** Globs over public URIs, and over the text of URI templates. */
  resources: words('a URI').optional(),
  services: words('a service').optional(),
  profiles: words('a profile').optional(),
  /** Hints as the specification defines them, with its defaults; only tools have them. */
  annotations: z
    .strictObject({
      readOnlyHint: z.boolean().optional(),
      destructiveHint: z.boolean().optional(),
      idempotentHint: z.boolean().optional(),
      openWorldHint: z.boolean().optional(),
    })
    .optional(),
});

const scope = z
  .string()
  // RFC 6749 section 3.3.
  .regex(/^[\u0021\u0023-\u005B\u005D-\u007E]+$/, 'must be one OAuth scope, without blanks or quotes');

const condition = z.string().transform((source, context): Condition => {
  const compiled = compileCondition(source);
  if (compiled.kind === 'ok') return compiled.condition;
  context.issues.push({
    code: 'custom',
    input: source,
    message: `column ${compiled.column} of the condition: ${compiled.message}`,
  });
  return z.NEVER;
});

export const ruleSchema = z
  .strictObject({
    name: z.string('must be a text: a decision names its rule').min(1).max(128),
    effect: z.enum(['allow', 'deny'], 'must be allow or deny'),
    /** One, or alternatives. Left out: everybody. */
    who: oneOrMore(subjectSchema).optional(),
    /** One, or alternatives. Left out: everything. */
    what: oneOrMore(objectSchema).optional(),
    /** CEL over identity, args and meta. */
    when: condition.optional(),
    /** A token without these is told to step up. Only with `allow`. */
    scopes: z.array(scope).min(1).optional(),
  })
  .refine((rule) => rule.scopes === undefined || rule.effect === 'allow', {
    path: ['scopes'],
    message: 'only a rule that allows can ask for scopes',
  });

export const rulesSchema = z
  .array(ruleSchema)
  .max(10_000)
  .superRefine((rules, context) => {
    const seen = new Set<string>();
    for (const [at, { name }] of rules.entries()) {
      if (seen.has(name)) {
        context.addIssue({
          code: 'custom',
          path: [at, 'name'],
          message: `another rule is called ${name}; a decision names its rule`,
        });
      }
      seen.add(name);
    }
  });

/** Scope → scopes that it stands for: `{admin: [read, write]}`. Chains are followed. */
export const scopeHierarchySchema = z.record(scope, z.array(scope));

export type Subject = z.output<typeof subjectSchema>;
export type ObjectPattern = z.output<typeof objectSchema>;
export type Rule = z.output<typeof ruleSchema>;
